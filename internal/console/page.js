(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const live = byId("live"), waiting = new Map();

  // Countdowns: the server wrote the moment, this writes what is left.
  const left = (until, now) => {
    const s = Math.ceil((until - now) / 1000);
    if (s > 72000) return "until " + wall(new Date(until));
    if (s <= 0) return "any moment now";
    if (s < 60) return s + " s left";
    if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s left";
    return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min left";
  };
  // wall has the form in which the server writes a moment: nothing moves.
  const two = (n) => String(n).padStart(2, "0");
  const wall = (d) => Math.abs(Date.now() - d) > 72000000
    ? d.getFullYear() + "-" + two(d.getMonth() + 1) + "-" + two(d.getDate()) + " " + two(d.getHours()) + ":" + two(d.getMinutes())
    : two(d.getHours()) + ":" + two(d.getMinutes()) + ":" + two(d.getSeconds());
  const tick = () => {
    const now = Date.now();
    for (const t of document.querySelectorAll("[data-until]")) {
      const text = left(Number(t.dataset.until), now);
      if (t.textContent !== text) t.textContent = text;
    }
  };
  const local = (root) => {
    for (const t of root.querySelectorAll("time:not([data-until])")) {
      const d = new Date(t.dateTime);
      if (isNaN(d)) continue;
      t.textContent = wall(d);
      t.title = t.dateTime;
    }
  };
  local(document);
  tick();
  setInterval(tick, 1000);
  if (!document.body.dataset.live) return;

  const stops = "a,button,input,select,summary";
  const typing = (el) => {
    const a = document.activeElement;
    return el.contains(a) && a.matches("input,select") && (a.value !== a.defaultValue || a.matches("select"));
  };
  const make = (html) => {
    const t = document.createElement("template");
    t.innerHTML = html; // from our own server, escaped there
    local(t.content);
    return t.content.firstElementChild;
  };
  const replace = (old, html) => {
    if (typing(old)) { waiting.set(old.id, html); return; }
    waiting.delete(old.id);
    const el = make(html);
    for (const d of old.querySelectorAll("details[open]")) {
      const same = el.querySelector('details[data-k="' + d.dataset.k + '"]');
      if (same) same.open = true;
    }
    const at = [...old.querySelectorAll(stops)].indexOf(document.activeElement);
    old.replaceWith(el);
    if (at >= 0) {
      const to = el.querySelectorAll(stops)[at];
      if (to) to.focus({ preventScroll: true });
    }
  };
  document.addEventListener("focusout", () => setTimeout(() => {
    for (const [id, html] of [...waiting]) if (byId(id)) replace(byId(id), html); else waiting.delete(id);
  }, 0));

  // apply returns false where something is missing that it should have had.
  const apply = (p) => {
    let whole = true;
    for (const [id, ids] of Object.entries(p.lists || {})) {
      const list = byId(id), want = new Set(ids);
      if (!list) continue;
      for (const el of [...list.children]) if (!want.has(el.id)) el.remove();
      let prev = null;
      for (const one of ids) {
        let el = byId(one);
        if (!el && p.put[one]) { el = make(p.put[one]); delete p.put[one]; }
        if (!el) { whole = false; continue; }
        const here = prev ? prev.nextElementSibling : list.firstElementChild;
        if (here !== el) list.insertBefore(el, here);
        prev = el;
      }
    }
    for (const [id, html] of Object.entries(p.put || {})) if (byId(id)) replace(byId(id), html);
    tick();
    return whole;
  };

  let version = document.body.dataset.live;
  const connect = () => {
    const query = new URLSearchParams(location.search);
    query.set("page", location.pathname.split("/").pop());
    query.set("since", version);
    const es = new EventSource("live?" + query);
    const say = (what, off) => { live.textContent = what; live.classList.toggle("off", off); };
    es.onopen = () => say("live", false);
    es.addEventListener("patch", (e) => {
      version = e.lastEventId;
      if (!apply(JSON.parse(e.data))) { es.close(); version = ""; connect(); }
    });
    es.addEventListener("over", () => { es.close(); say("stopped", true); });
    es.onerror = () => {
      say("reconnecting", true);
      if (es.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    };
  };
  connect();
})();
