"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const make = (tag, text, parent, className) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    if (className) element.className = className;
    if (parent) parent.append(element);
    return element;
  };
  const data = JSON.parse(byId("data").textContent);

  // Theme: the system's, until the reader chooses. A browser may refuse storage to a file from disk.
  const theme = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Use ${isDark() ? "light" : "dark"} colours`); };
  try { const kept = localStorage.getItem("ddbench-theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* none kept */ }
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("ddbench-theme", document.documentElement.dataset.theme); } catch { /* not kept */ }
    nameTheme();
  });
  system.addEventListener("change", nameTheme);
  nameTheme();

  // Sorting: first click largest first (names: a to z), second the other way, third as it was. No value comes last.
  const first = new WeakMap();
  for (const table of all("table")) for (const body of table.tBodies) first.set(body, [...body.rows]);
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  };
  const compare = (a, b) => (typeof a === typeof b ? (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true })) : typeof a === "number" ? 1 : -1);
  const sort = (button) => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = head.cellIndex;
    const bodies = [...table.tBodies].filter((body) => !body.classList.contains("fixed"));
    const numbers = bodies.some((body) => [...body.rows].some((row) => typeof value(row, column) === "number"));
    const order = numbers ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
    const next = order[(order.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
    for (const other of all("thead th", table)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    for (const body of bodies) {
      const rows = [...first.get(body)];
      if (next !== "none") {
        rows.sort((one, two) => {
          const a = value(one, column), b = value(two, column);
          if (numbers && (typeof a !== "number" || typeof b !== "number")) return (typeof b === "number") - (typeof a === "number");
          if (a === null || b === null) return (a === null) - (b === null);
          return next === "descending" ? compare(b, a) : compare(a, b);
        });
      }
      body.append(...rows);
    }
  };
  for (const button of all(".sort")) button.addEventListener("click", () => sort(button));

  // Filters.
  const form = document.querySelector(".controls");
  form.hidden = theme.hidden = false;
  const kinds = new Map(all("[data-kind]").map((element) => [element.dataset.row, element.dataset.kind]));
  const off = new Set();
  const filter = () => {
    const part = byId("filter").value.trim().toLowerCase();
    const wanted = new Set(all(".kind").filter((box) => box.checked).map((box) => box.value));
    for (const element of all("[data-row]")) {
      const row = element.dataset.row, kind = element.dataset.kind || kinds.get(row);
      const fits = row.toLowerCase().includes(part) && (!kind || wanted.has(kind));
      element.toggleAttribute("hidden", !fits || (element.matches(".series") && off.has(row)));
    }
    const chosen = all("select[data-field]").filter((select) => select.value);
    let rows = 0, tables = 0;
    for (const section of all(".table-section")) {
      section.hidden = chosen.some((select) => section.dataset[select.dataset.field] !== select.value);
      const shown = section.hidden ? 0 : all("table.main tbody tr:not([hidden])", section).length;
      if (!shown) section.hidden = true;
      if (!section.hidden && section.tagName === "DETAILS" && chosen.some((select) => select.dataset.field === "student")) section.open = true;
      rows += shown;
      tables += shown > 0;
    }
    for (const gallery of all(".gallery")) {
      const sets = chosen.filter((select) => select.dataset.field === "dataset");
      gallery.hidden = sets.some((select) => gallery.dataset.dataset !== select.value) || !all(".card:not([hidden])", gallery).length;
    }
    for (const group of all(".group")) {
      group.hidden = !all(".table-section:not([hidden])", group).length;
      for (const cross of all(".cross", group)) cross.hidden = !all("tbody tr:not([hidden])", cross).length;
    }
    byId("count").textContent = rows ? `${rows} row${rows === 1 ? "" : "s"} in ${tables} table${tables === 1 ? "" : "s"}` : "nothing fits this filter";
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  const showAll = () => {
    off.clear();
    for (const button of all(".series-button")) button.setAttribute("aria-pressed", "true");
    filter();
  };
  form.addEventListener("reset", () => setTimeout(showAll)); // after the fields are back
  filter();

  // Curves: a button hides its series in this section; the pointer on it brings the series forward.
  for (const button of all(".series-button")) {
    const item = button.closest("li"), row = item.dataset.row;
    const charts = item.closest(".table-section").querySelector(".charts");
    const lines = all(".series", charts).filter((line) => line.dataset.row === row);
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") === "false";
      for (const other of all(".series-button")) if (other.closest("li").dataset.row === row) other.setAttribute("aria-pressed", String(shown));
      if (shown) off.delete(row); else off.add(row);
      filter();
    });
    for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) {
      button.addEventListener(event, () => { charts.classList.toggle("dimmed", on); for (const line of lines) line.classList.toggle("lit", on); });
    }
  }

  // Pictures.
  const show = (card, index) => {
    const frames = all("img", card);
    frames.forEach((frame, i) => { frame.hidden = i !== index; });
    const slider = card.querySelector("input[type=range]");
    if (!slider) return;
    slider.value = index;
    slider.setAttribute("aria-valuetext", frames[index].dataset.name);
    card.querySelector("output").textContent = frames[index].dataset.name;
  };
  for (const label of all(".steps, .all")) label.hidden = false;
  for (const card of all(".card")) {
    const slider = card.querySelector("input[type=range]");
    if (slider) slider.addEventListener("input", () => show(card, Number(slider.value)));
  }
  for (const slider of all(".together")) {
    slider.addEventListener("input", () => {
      slider.parentElement.querySelector("output").textContent = `${slider.value} %`;
      slider.setAttribute("aria-valuetext", `${slider.value} %`);
      for (const card of all(".card", slider.closest(".gallery"))) {
        const steps = all("img", card).map((frame) => Number(frame.dataset.step));
        const goal = (steps[steps.length - 1] * slider.value) / 100;
        show(card, steps.reduce((best, step, i) => (Math.abs(step - goal) < Math.abs(steps[best] - goal) ? i : best), 0));
      }
    });
  }

  // A cell's panel: opened by its link, or by the address the page is opened with.
  const dialog = byId("panel");
  const grid = (parent, { caption, head, rows }) => {
    make("h4", caption, parent);
    const scroll = make("div", null, parent, "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", caption);
    const table = make("table", null, scroll);
    const top = make("tr", null, make("thead", null, table));
    for (const name of head) make("th", name, top).scope = "col";
    for (const th of top.cells) th.style.padding = ".35rem .75rem";
    const body = make("tbody", null, table);
    for (const row of rows) { const line = make("tr", null, body); for (const text of row) make("td", text, line); }
  };
  const copyButton = (text, parent) => {
    const button = make("button", "Copy", parent);
    button.type = "button";
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Select it by hand"; }
    });
  };
  const fill = (id, cell) => {
    byId("panel-title").textContent = cell.title;
    const body = byId("panel-body");
    body.replaceChildren();
    make("p", cell.where, body, "caption");
    const facts = make("dl", null, body, "facts");
    for (const [name, text] of cell.facts) { make("dt", name, facts); make("dd", text, facts); }
    for (const note of cell.notes) make("p", note, body, "notes");
    for (const table of cell.tables) grid(body, table);
    for (const [name, text] of cell.commands) {
      make("h4", `Command: ${name}`, body);
      const line = make("div", null, body, "command");
      make("code", text, line);
      copyButton(text, line);
    }
    make("h4", "Parameters, all resolved", body);
    if (cell.set.length) make("p", "Marked: named by the row's label, so set by the run and not by the preset.", body, "notes");
    const list = make("ul", null, body, "params");
    for (const [name, text] of data.params[cell.params]) make("li", `${name} = ${text}`, list, cell.set.includes(name) ? "set" : "");
    if (cell.envs.length) {
      make("h4", "Made with", body);
      for (const env of cell.envs) make("p", data.envs[env], body, "notes");
    }
    make("h4", "Link to this cell", body);
    const line = make("div", null, body, "command");
    const link = `${location.href.split("#")[0]}#${id}`;
    make("code", link, line);
    copyButton(link, line);
  };
  const open = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && byId(id);
    for (const marked of all("td.shown")) marked.classList.remove("shown");
    if (target) for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    if (target && !target.checkVisibility()) { form.reset(); showAll(); target.scrollIntoView(); }
    if (!target || !Object.hasOwn(data.cells, id)) { if (dialog.open) dialog.close(); return; }
    target.classList.add("shown");
    target.scrollIntoView({ block: "center", inline: "center" });
    fill(id, data.cells[id]);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    const id = location.hash.slice(1), cell = id && byId(id);
    history.replaceState(null, "", location.href.split("#")[0]);
    if (cell) cell.querySelector("a.cell")?.focus({ preventScroll: true });
  });
  addEventListener("hashchange", open);
  open();
})();
