"use strict";
// Sorting: numbers from data-v, text in the order of the numbers in it; what is missing stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const status = table.closest("section").querySelector(".status");
  const words = new Intl.Collator(undefined, { numeric: true });
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows].map((row) => {
        const cell = row.cells[column];
        const exact = cell.dataset.v;
        const value = exact === undefined ? cell.textContent : exact === "" ? null : Number(exact);
        return { row, value: value === "" ? null : value };
      });
      rows.sort((a, b) => {
        if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
        const numbers = typeof a.value === "number";
        const order = numbers ? a.value - b.value : words.compare(a.value, b.value);
        return down ? -order : order;
      });
      body.append(...fragments(rows));
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const way = down ? "highest first" : "lowest first";
      status.textContent = `Sorted by ${head.textContent}, ${way}.`;
    });
  });
}

function fragments(rows) {
  const fragment = document.createDocumentFragment();
  for (const { row } of rows) fragment.append(row);
  return [fragment];
}

// One player at a time; a line on its spectrogram shows where it is, and a click there moves it.
const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  const picture = player.parentElement.querySelector(".picture");
  const cursor = picture.querySelector(".cursor");
  const show = () => {
    const part = player.duration ? player.currentTime / player.duration : 0;
    cursor.style.left = `${100 * part}%`;
    if (!player.paused) requestAnimationFrame(show);
  };
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
    show();
  });
  player.addEventListener("seeked", show);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    player.currentTime = ((event.clientX - box.left) / box.width) * player.duration;
  });
}
