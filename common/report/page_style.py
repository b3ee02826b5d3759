"""Style and script of the pages."""

STYLE = """
:root { color-scheme: light dark; --ink: #16191d; --faint: #4a525c; --grid: #cfd4da; --paper: #ffffff; --card: #f6f7f9;
  --yes: #00674b; --no: #a34700; --link: #00548a; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceff3; --faint: #b4bcc6; --grid: #454c55; --paper: #14171b;
  --card: #1d2126; --yes: #3fd0a4; --no: #ffa366; --link: #7cc4f4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 0 0 0.4rem; } .sub { color: var(--faint); margin: 0.2rem 0 0; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 0; padding: 0.8rem; background: var(--card); border: 1px solid var(--grid); border-radius: 0.5rem;
  min-width: 0; max-width: 44rem; }
figure svg { display: block; width: 100%; height: auto; max-height: 34rem; }
figure .scroll { margin: 0; } .drawing { max-width: 100%; justify-self: start; } .wide { grid-column: 1 / -1; }
.drawing svg { width: calc(1.25 * var(--natural)); max-width: 100%; max-height: none; }
.zoom { display: block; margin-bottom: 0.4rem; color: var(--faint); font-size: 0.875rem; }
.zoom:has(:checked) + .scroll svg { width: calc(2.5 * var(--natural)); max-width: none; }
.images { display: flex; flex-wrap: wrap; gap: 0.6rem; margin: 0.5rem 0; }
.images figure { padding: 0; border: 0; background: none; max-width: 7rem; }
.images figcaption { margin: 0.1rem 0 0; } img { display: block; image-rendering: pixelated; border-radius: 0.2rem; }
figcaption { color: var(--faint); font-size: 0.875rem; margin-top: 0.5rem; }
.scroll { overflow-x: auto; margin: 0.5rem 0; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--grid); text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; vertical-align: top; }
th { color: var(--faint); font-weight: 600; white-space: normal; overflow-wrap: normal; min-width: 5rem; }
th { cursor: pointer; } .text, .word { text-align: left; }
th[data-sign="1"]::after { content: " \\2191"; } th[data-sign="-1"]::after { content: " \\2193"; }
.filter { display: block; color: var(--faint); font-size: 0.9rem; } .filter input { font: inherit; max-width: 60%; }
@media (min-width: 48rem) { td.text, td.word { white-space: normal; }
  td.text { min-width: 22rem; } td.word { min-width: 8rem; overflow-wrap: normal; } }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0.25rem 1rem; margin: 0.5rem 0; }
dt { color: var(--faint); } dd { margin: 0; } a { color: var(--link); } ul { padding-left: 1.3rem; }
ul.check { list-style: none; padding: 0; margin: 0; }
ul.check li { padding: 0.4rem 0 0.4rem 1.8rem; position: relative; }
ul.check li::before { position: absolute; left: 0; font-weight: 700; }
ul.check .yes::before { content: "\\2713"; color: var(--yes); }
ul.check .no::before { content: "?"; color: var(--no); }
details { margin: 0.6rem 0; } summary { cursor: pointer; padding: 0.3rem 0; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--grid); border-radius: 0.4rem; padding: 0.7rem;
  font-size: 0.8rem; overflow-wrap: normal; }
.note { border-left: 4px solid var(--no); padding: 0.3rem 0.8rem; background: var(--card); }
#tip { position: fixed; left: 0.8rem; right: 0.8rem; bottom: 0.8rem; margin: 0 auto; max-width: 40rem;
  padding: 0.5rem 0.8rem;
  border-radius: 0.4rem; background: var(--ink); color: var(--paper); display: none; }
@media (max-width: 30rem) { body { padding: 0.5rem; } figure { padding: 0.4rem; } }
@media print { #tip, .zoom, .filter { display: none; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
  .scroll { overflow: visible; } figure svg { min-width: 0 !important; } body { padding: 0; }
  td.text, td.word { white-space: normal; min-width: 0; } th, td { padding: 0.2rem 0.3rem; min-width: 0; }
  table { font-size: 0.7rem; } }
"""
# Touch screens cannot hover over a mark: a tap shows its tip.
SCRIPT = r"""
document.addEventListener("click", (event) => {
  const mark = event.target.closest("use, path"), tip = document.getElementById("tip");
  const title = mark && mark.querySelector("title");
  tip.textContent = title ? title.textContent : "";
  tip.style.display = title ? "block" : "none";
});
// A click on the heading of a column sorts the table by it, another one in the other direction.
document.querySelectorAll("th").forEach((head) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], at = head.cellIndex, rows = [...body.rows];
  const sign = head.dataset.sign === "1" ? -1 : 1;
  head.parentNode.querySelectorAll("th").forEach((other) => delete other.dataset.sign);
  head.dataset.sign = sign;
  const value = (row) => parseFloat(row.cells[at].textContent.replace(/,/g, ""));
  const isNumber = rows.some((row) => !isNaN(value(row)));
  const compare = isNumber ? (a, b) => (isNaN(value(a)) - isNaN(value(b))) || sign * (value(a) - value(b))
    : (a, b) => sign * a.cells[at].textContent.localeCompare(b.cells[at].textContent);
  body.append(...rows.sort(compare));
}));
document.querySelectorAll("[data-ends]").forEach((mark) => {
  const left = Math.max(0, mark.dataset.ends - Date.now() / 1000);
  mark.textContent = left > 119 ? `About ${Math.round(left / 60)} minutes are left.`
    : left > 0 ? `About ${Math.round(left)} seconds are left.`
    : "It should end now; if it does not run any more, start it again with the same --workdir to resume.";
});
// Rows stay that have all the words typed.
document.querySelectorAll(".filter input").forEach((field) => field.addEventListener("input", () => {
  const rows = [...field.parentNode.nextElementSibling.querySelectorAll("tbody tr")];
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  rows.forEach((row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); });
  field.nextElementSibling.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
}));
"""
