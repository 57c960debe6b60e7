"use strict";
(() => {
  const status = document.getElementById("status");
  const say = (text) => { status.textContent = text; };

  // Filters: each form narrows the table of its name.
  const tables = new Map();
  for (const form of document.querySelectorAll("form[data-filters]")) {
    const name = form.dataset.filters;
    const rows = [...document.querySelectorAll(`table[data-rows="${name}"] tbody tr`)];
    const texts = new Map();
    const textOf = (row) => {
      if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
      return texts.get(row);
    };
    const controls = [...form.querySelectorAll("[data-filter]")];
    const count = form.querySelector("[data-count]");
    const apply = () => {
      const wanted = controls.filter((control) => control.value !== "");
      const words = (control) => control.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !wanted.every((control) => control.dataset.filter === "text"
          ? words(control).every((word) => textOf(row).includes(word))
          : row.dataset[control.dataset.filter] === control.value);
        if (!row.hidden) shown += 1;
      }
      count.textContent = shown === rows.length ? `${shown} ${name}` : `${shown} of ${rows.length} ${name}`;
    };
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    tables.set(name, { form, apply });
    apply();
  }

  // A bar of the picture leads to the cases of its section.
  for (const bar of document.querySelectorAll("a[data-section]")) {
    bar.addEventListener("click", () => {
      const { form, apply } = tables.get("cases");
      form.reset();
      form.querySelector('[data-filter="section"]').value = bar.dataset.section;
      apply();
    });
  }

  // What a link leads to is shown: its row, and every fold around it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.hidden && target.closest("table")) {
      const { form, apply } = tables.get(target.closest("table").dataset.rows);
      form.reset();
      apply();
      // After the table's own answer to the reset.
      setTimeout(() => target.scrollIntoView());
    }
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  // The same link a second time changes no hash.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.getAttribute("href") === location.hash) reveal();
  });
  reveal();

  const folds = (id) => document.querySelectorAll(`#${id} > details`);
  for (const button of document.querySelectorAll("button[data-open], button[data-close]")) {
    button.addEventListener("click", () => {
      for (const fold of folds(button.dataset.open || button.dataset.close)) fold.open = Boolean(button.dataset.open);
    });
  }
  addEventListener("beforeprint", () => { for (const fold of folds("findings")) fold.open = true; });

  // Copying; where the clipboard is not to be had, the text is selected for the reader to copy.
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        say("Copied.");
        const before = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = before; }, 1500);
      } catch {
        getSelection().selectAllChildren(source);
        say("Selected: copy it with the keyboard.");
      }
    });
  }
})();
