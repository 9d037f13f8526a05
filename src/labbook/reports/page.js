"use strict";

// A click on a heading, or Enter on it, sorts the table by that column; another one turns the order round.
// Cells without a value stay at the end.
for (const heading of document.querySelectorAll("th:has(button)")) {
  heading.querySelector("button").addEventListener("click", () => {
    const table = heading.closest("table");
    const numeric = heading.classList.contains("number");
    const before = heading.getAttribute("aria-sort");
    const ascending = before === null ? !numeric : before === "descending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const value = (row) => row.cells[heading.cellIndex].dataset.value;
    const compare = (one, two) => {
      const [a, b] = [value(one), value(two)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
      return ascending ? order : -order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  });
}
