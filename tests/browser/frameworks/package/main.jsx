import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createBrowserRouter, Link, Outlet, redirect, RouterProvider, useLoaderData } from "react-router";
import { usePage } from "./usePage";

function Layout() {
  return (
    <>
      <nav>
        <Link to="/">Home</Link> <Link to="/beans">Beans</Link> <Link to="/beans/harbour">Harbour</Link> <Link to="/old">Old</Link>
      </nav>
      <Outlet />
    </>
  );
}

function Page() {
  usePage(useLoaderData());
  return null;
}

/** Takes its time, as one that asks a server. */
async function load() {
  await new Promise((resolve) => setTimeout(resolve, 300));
  return "Harbour";
}

const router = createBrowserRouter([
  {
    Component: Layout,
    HydrateFallback: () => null,
    children: [
      { path: "/", Component: Page, loader: () => "Home" },
      { path: "/beans", Component: Page, loader: () => "Beans" },
      { path: "/beans/harbour", Component: Page, loader: load },
      { path: "/old", loader: () => redirect("/beans") },
    ],
  },
]);

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <RouterProvider router={router} />
  </StrictMode>,
);
