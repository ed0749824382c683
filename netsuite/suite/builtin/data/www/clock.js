// Says how this very page came here: fetched anew, revalidated, or out of a cache.
"use strict";
const [entry] = performance.getEntriesByType("navigation");
const place = document.getElementById("arrival");
if (entry && place) {
  const size = entry.transferSize === 0 ? "out of your browser's cache" : `in ${entry.transferSize} bytes`;
  addEventListener("load", () => {
    place.textContent = `This page came ${size}, ${Math.round(entry.responseEnd)} ms after you asked for it.`;
  });
}
