import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter, Link, Navigate, Route, Routes } from "react-router";

function Home() {
  return <title>Home</title>;
}

function Beans() {
  return <title>Beans</title>;
}

/** The older way to set a title. */
function Harbour() {
  useEffect(() => {
    document.title = "Harbour";
  });
  return null;
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <BrowserRouter>
      <nav>
        <Link to="/">Home</Link> <Link to="/beans">Beans</Link> <Link to="/beans/harbour">Harbour</Link> <Link to="/old">Old</Link>
      </nav>
      <Routes>
        <Route path="/" element={<Home />} />
        <Route path="/beans" element={<Beans />} />
        <Route path="/beans/harbour" element={<Harbour />} />
        <Route path="/old" element={<Navigate to="/beans" replace />} />
      </Routes>
    </BrowserRouter>
  </StrictMode>,
);
