// A page that changes without a load, as single-page applications do. The tracker sees pushState by itself.
// Until it has loaded, what it is asked to do waits in a queue.
window.catchment = window.catchment || function () {
  (window.catchment.q = window.catchment.q || []).push(arguments);
};

const stops = [...document.querySelectorAll("[data-stop]")];

function show(stop) {
  for (const one of stops) one.hidden = one.dataset.stop !== stop;
  for (const link of document.querySelectorAll(".stops a")) {
    if (link.getAttribute("href") === `/tour/${stop}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

document.addEventListener("click", (click) => {
  const link = click.target.closest(".stops a");
  if (!link || click.ctrlKey || click.metaKey || click.shiftKey || click.button) return;
  click.preventDefault();
  history.pushState({}, "", link.href);
  show(location.pathname.split("/")[2]);
});
addEventListener("popstate", () => show(location.pathname.split("/")[2]));

document.getElementById("applause")?.addEventListener("click", (click) => {
  // An event out of code, with values that only code knows.
  window.catchment("event", "Applause", { category: "Tour", label: location.pathname, value: 1 });
  click.target.textContent = "Thank you";
});
