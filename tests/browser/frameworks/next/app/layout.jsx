import Link from "next/link";
import Script from "next/script";

export default function Layout({ children }) {
  return (
    <html lang="en">
      <head>
        <link rel="icon" href="data:," />
      </head>
      <body>
        <nav>
          <Link href="/">Home</Link> <Link href="/beans">Beans</Link> <Link href="/beans/harbour">Harbour</Link> <Link href="/old">Old</Link>
        </nav>
        {children}
        <Script src="https://events.example.com/catchment.js" data-key="pk_…" />
      </body>
    </html>
  );
}
