// The contents list shows where the reader is.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));

function mark() {
  const sections = [...document.querySelectorAll("main > section")].filter((section) => !section.hidden);
  const above = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
  const here = links.get((above.at(-1) ?? sections[0]).id);
  for (const link of links.values()) link.toggleAttribute("aria-current", link === here);
}

let isWaiting = false;
addEventListener("scroll", () => {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    mark();
  });
}, { passive: true });
mark();
