"use strict";
(() => {
  const PER_SHEET = 48;
  const SKIPPED = "#sheets"; // the link to the contact sheets chooses nothing
  const FIELDS = ["text", "state", "doubt", "level", "grade", "sort"];
  const ROMANS = ["", "I", "II", "III", "IV", "V"];
  const data = JSON.parse(document.getElementById("data").textContent);
  const scans = data.scans.map(([name, state, lowest, told, discs, pictured, age, sex, address]) => ({
    name, state: data.states[state], lowest, told, discs, pictured, age, sex,
    address: address === undefined ? encodeURIComponent(name) : address,
    warnings: discs.reduce((count, disc) => count + disc[5].length, 0),
  }));
  // an umlaut may be written as one character or as two
  const folded = (text) => text.normalize("NFC").toLowerCase();
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  scans.sort((a, b) => collator.compare(a.name, b.name));
  scans.forEach((scan, rank) => { scan.rank = rank; });

  const form = document.getElementById("filters");
  const cards = document.getElementById("cards");
  const only = document.getElementById("only");
  const sheets = document.getElementById("sheets");
  let why = "";
  let sheet = 0;
  let shown = [];

  const ofGrade = (disc, grade) =>
    grade === "" || (grade === "none" ? disc[1] < 0 : grade === "doubtful" ? !disc[4] && disc[1] >= 0
      : disc[1] >= 0 && (data.groups[disc[1]] === grade || String(disc[2]) === grade));

  const ofDoubt = (scan, doubt) => {
    const doubted = scan.state === "graded" && scan.told.length > 0;
    const warned = scan.warnings > 0;
    switch (doubt) {
      case "any": return doubted || warned;
      case "scan": return doubted;
      case "disc": return warned;
      case "no": return scan.state === "graded" && !doubted && !warned;
      default: return true;
    }
  };

  const ofKind = (scan, kind) => {
    if (kind < 0) return false;
    const has = (numbers) => numbers.some((number) => data.sentences[number][1] === kind);
    return has(scan.told) || scan.discs.some((disc) => has(disc[5]));
  };

  const matches = (scan, wish) =>
    (wish.text === "" || folded(scan.name).includes(folded(wish.text)))
    && (wish.state === "" || scan.state === wish.state)
    && ofDoubt(scan, wish.doubt)
    && ((wish.level === "" && wish.grade === "")
      || scan.discs.some((disc) => (wish.level === "" || data.levels[disc[0]] === wish.level) && ofGrade(disc, wish.grade)))
    && (why === "" || ofKind(scan, data.kinds.indexOf(why)));

  const graded = (scan) => (scan.state === "graded" ? 0 : 1);
  // a disc that cannot be assessed is less sure than any grade
  const sureness = (scan) => (scan.lowest === null || scan.discs.some((disc) => disc[1] < 0) ? -1 : scan.lowest);
  const ORDERS = {
    "": (a, b) => graded(a) - graded(b) || sureness(a) - sureness(b) || a.rank - b.rank,
    warnings: (a, b) => graded(a) - graded(b) || b.told.length - a.told.length || b.warnings - a.warnings || a.rank - b.rank,
    name: (a, b) => a.rank - b.rank,
  };

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const list = (numbers) =>
    make("ul", { className: "told" }, ...numbers.map((number) => make("li", {}, data.sentences[number][0])));

  const discRow = (disc) => {
    const word = disc[1] < 0 ? "not assessable" : data.groups[disc[1]];
    const chip = make("span", { className: `chip fill-${disc[1] < 0 ? "none" : word}` });
    const sure = disc[3] === null || disc[1] < 0 ? "" : `${Math.round(disc[3])}\u00a0%`;
    const several = disc.length > 6 ? ` ${disc[7] - disc[6] > 1 ? "to" : "or"} ` : "";
    const grade = several ? ROMANS[disc[6]] + several + ROMANS[disc[7]] : ROMANS[disc[2]];
    const doubt = disc[1] >= 0 && !disc[4] && !several ? make("abbr", { title: "low confidence" }, " ?") : "";
    return make("tr", {},
      make("th", { scope: "row" }, data.levels[disc[0]]),
      make("td", {}, chip, make("span", { className: disc[1] < 0 ? "" : word }, word)),
      make("td", {}, disc[1] < 0 ? "" : grade),
      make("td", {}, sure, doubt));
  };

  const card = (scan) => {
    const facts = [scan.age && `age ${scan.age}`, scan.sex].filter(Boolean).join(", ");
    const title = make("h3", {}, scan.name);
    if (scan.state !== "graded") title.append(" ", make("span", { className: "state" }, scan.state));
    if (facts) title.append(" ", make("small", {}, facts));
    const item = make("li", { className: scan.state === "graded" ? "card" : "card alone" }, title);
    if (scan.state !== "graded") {
      item.append(list(scan.told));
      return item;
    }
    const overview = `${scan.address}_overview.png`;
    const picture = scan.pictured
      ? make("img", { loading: "lazy", decoding: "async", alt: `Graded slice of ${scan.name}`, src: `${data.thumbnails}/${scan.address}.jpg` })
      : make("span", { className: "none" }, "no picture");
    item.append(
      scan.pictured ? make("a", { className: "picture", href: overview, title: "Overview" }, picture) : make("span", { className: "picture" }, picture),
      make("table", {}, make("tbody", {}, ...scan.discs.map(discRow))));
    if (scan.told.length) item.append(list(scan.told));
    const warnings = scan.discs.flatMap((disc) => disc[5]);
    if (warnings.length) {
      item.append(make("details", {}, make("summary", {}, `${warnings.length} warning${warnings.length > 1 ? "s" : ""} at discs`), list(warnings)));
    }
    const links = make("p", { className: "links" });
    if (scan.pictured) links.append(make("a", { href: overview }, "Overview"));
    links.append(make("a", { href: `${scan.address}_result.json` }, "Result"), make("a", { href: `${scan.address}_grades.csv` }, "Table"));
    item.append(links);
    return item;
  };

  const wishes = () => Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));

  const draw = () => {
    const last = Math.max(Math.ceil(shown.length / PER_SHEET) - 1, 0);
    sheet = Math.min(Math.max(sheet, 0), last);
    const start = sheet * PER_SHEET;
    const here = shown.slice(start, start + PER_SHEET);
    cards.replaceChildren(...here.map(card));
    const number = (value) => value.toLocaleString("en");
    const range = shown.length ? `${number(start + 1)}\u2013${number(start + here.length)} of ` : "";
    const count = `${range}${number(shown.length)} scan${shown.length === 1 ? "" : "s"}`;
    document.getElementById("count").textContent = shown.length < scans.length ? `${count}, of ${number(scans.length)} in all` : count;
    document.getElementById("place").textContent = `Sheet ${number(sheet + 1)} of ${number(last + 1)}`;
    for (const button of document.querySelectorAll("button[data-step]")) {
      button.disabled = button.dataset.step < 0 ? sheet === 0 : sheet === last;
    }
  };

  const choose = () => {
    const wish = wishes();
    shown = scans.filter((scan) => matches(scan, wish)).sort(ORDERS[wish.sort] || ORDERS[""]);
    only.hidden = why === "";
    if (why !== "") {
      const drop = make("button", { type: "button" }, "Show the others too");
      drop.addEventListener("click", () => { why = ""; sheet = 0; remember(); choose(); });
      only.replaceChildren(`Only those that say: ${why} `, drop);
    }
    draw();
  };

  const remember = () => {
    const kept = new URLSearchParams(Object.entries({ ...wishes(), why, sheet: sheet ? String(sheet + 1) : "" }).filter(([, value]) => value));
    history.replaceState(null, "", `#${kept}`);
  };

  const recall = () => {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const name of FIELDS) {
      const field = form.elements[name];
      field.value = kept.get(name) || "";
      if (field.selectedIndex === -1) field.value = "";
    }
    why = kept.get("why") || "";
    sheet = (Number(kept.get("sheet")) || 1) - 1;
    choose();
  };

  form.addEventListener("input", () => { sheet = 0; choose(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const name of FIELDS) form.elements[name].value = "";
    why = "";
    sheet = 0;
    remember();
    choose();
  });
  for (const button of document.querySelectorAll("button[data-step]")) {
    button.addEventListener("click", () => { sheet += Number(button.dataset.step); draw(); remember(); sheets.scrollIntoView(); });
  }
  window.addEventListener("hashchange", () => {
    if (location.hash === SKIPPED) return;
    recall();
    if (location.hash === "") return;
    sheets.scrollIntoView();
    sheets.focus({ preventScroll: true });
  });
  recall();
})();
