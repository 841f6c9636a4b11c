import { init, page } from "@catchment-collector/tracker";
import { useEffect } from "react";
import { useLocation } from "react-router";

init({ key: "pk_…", endpoint: "https://events.example.com", manual: true });

let counted;

/** Sets the page's title, and counts it: once, though StrictMode runs each effect twice. */
export function usePage(title) {
  const { pathname } = useLocation();
  useEffect(() => {
    document.title = title;
    if (pathname !== counted) page();
    counted = pathname;
  }, [pathname, title]);
}
