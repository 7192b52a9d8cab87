"use strict";
(() => {
  const { events, retry } = document.body.dataset;
  const link = document.getElementById("again");
  const parse = (text) => new DOMParser().parseFromString(text, "text/html");
  const show = (next) => {
    for (const id of ["state", "order"]) {
      const here = document.getElementById(id), there = next.getElementById(id);
      if (!here || !there || here.innerHTML === there.innerHTML) continue;
      here.className = there.className;
      here.hidden = there.hidden;
      here.innerHTML = there.innerHTML;
    }
    document.title = document.querySelector("h1").textContent + " – " + document.body.dataset.shop;
  };
  const look = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const next = parse(await answer.text());
    if (!answer.ok && answer.status !== 404) return true;
    if (!next.body.dataset.retry !== !retry) return location.reload();
    show(next);
    return next.body.dataset.events || next.body.dataset.retry;
  };
  const again = (seconds, left) => {
    if (left) setTimeout(async () => {
      if (document.hidden) again(seconds, left);
      else if (await look().catch(() => true)) again(seconds, left - 1);
    }, seconds * 1000);
    else if (link) link.hidden = false;
  };
  if (retry) again(+retry, 30);
  if (!events) return;
  if (link) link.hidden = true;
  const source = new EventSource(events);
  source.onmessage = ({ data }) => show(parse(data));
  source.addEventListener("end", () => source.close());
  source.addEventListener("gone", () => location.reload());
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(30, 20); };
})();
