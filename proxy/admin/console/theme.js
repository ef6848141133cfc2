// Runs before the first paint, so that a page that was set to dark never flashes white.
(() => {
  const kept = (() => { try { return localStorage.getItem("taximeter-theme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
