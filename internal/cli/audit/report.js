"use strict";
// Sorting and filtering of what the page shows anyway. Rows are moved and hidden, never made: no text from outside becomes markup here.
(() => {
  const table = document.getElementById("keys");
  const groups = Array.from(table.tBodies); // of so many rows each, since a browser leaves out whole groups that nobody looks at
  const groupSize = groups[0]?.rows.length;
  const rowHeight = 72; // about, in the style's estimate, too
  let rows = Array.from(document.querySelectorAll("#keys tbody tr")); // in the order in which they stand
  const heads = Array.from(table.tHead.rows[0].cells);
  const tiles = Array.from(document.querySelectorAll(".tile"));
  const search = document.getElementById("search");
  const status = document.getElementById("status");
  const clear = document.getElementById("clear");
  const count = document.getElementById("count");
  const nothing = document.getElementById("nothing");
  const number = new Intl.NumberFormat("en");
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // What rows are ordered by: times as text in one form and zone, so that their order is that of their letters; no time comes first.
  const values = {
    text: (row, column) => row.cells[column].firstElementChild.textContent,
    time: (row, column) => row.cells[column].querySelector("time")?.dateTime ?? "",
    rank: (row) => Number(row.dataset.rank),
  };
  const compare = {
    text: collator.compare,
    time: (a, b) => (a < b ? -1 : a > b ? 1 : 0),
    rank: (a, b) => a - b,
  };

  function sort(column) {
    const head = heads[column];
    const by = head.dataset.by;
    const down = head.getAttribute("aria-sort") === "ascending";
    const order = rows.map((row) => ({ row, value: values[by](row, column) }));
    order.sort((a, b) => (down ? compare[by](b.value, a.value) : compare[by](a.value, b.value)));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows = order.map(({ row }) => row);
    groups.forEach((group, i) => group.replaceChildren(...rows.slice(i * groupSize, (i + 1) * groupSize)));
    measure();
  }

  // A group without a row to show takes no room; the others are as high as what they show.
  function measure() {
    for (const group of groups) {
      const shown = Array.from(group.rows).filter((row) => !row.hidden).length;
      group.hidden = shown === 0;
      group.style.containIntrinsicBlockSize = `${shown * rowHeight}px`;
    }
  }

  const texts = new Map(); // read when somebody searches, once
  const text = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const findings = tiles.filter((tile) => tile.getAttribute("aria-pressed") === "true").map((tile) => tile.dataset.finding);
    let shown = 0;
    for (const row of rows) {
      const has = row.dataset.findings.split(" ");
      const fits =
        (status.value === "" || row.dataset.status === status.value) &&
        (findings.length === 0 || findings.some((finding) => has.includes(finding))) &&
        words.every((word) => text(row).includes(word));
      if (row.hidden === fits) row.hidden = !fits;
      if (fits) shown++;
    }
    measure();
    const filtered = words.length > 0 || findings.length > 0 || status.value !== "";
    count.textContent = filtered ? `${number.format(shown)} of ${number.format(rows.length)} keys` : `${number.format(rows.length)} keys`;
    clear.hidden = !filtered;
    nothing.hidden = shown > 0;
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });
  heads.find((head) => head.dataset.by === "rank").setAttribute("aria-sort", "ascending"); // as the page comes

  for (const tile of tiles) {
    tile.disabled = false;
    tile.setAttribute("aria-pressed", "false");
    tile.addEventListener("click", () => {
      tile.setAttribute("aria-pressed", String(tile.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  search.addEventListener("input", filter);
  status.addEventListener("change", filter);
  clear.addEventListener("click", () => {
    search.value = "";
    status.value = "";
    for (const tile of tiles) tile.setAttribute("aria-pressed", "false");
    filter();
    search.focus();
  });
  const controls = document.querySelector(".controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  filter(); // browsers fill in what was typed before a page was loaded anew
})();
