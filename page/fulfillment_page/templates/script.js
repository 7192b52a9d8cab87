"use strict";
(() => {
  const again = (seconds) => setTimeout(() => document.hidden ? again(seconds) : location.reload(), seconds * 1000);
  const { events, retry } = document.body.dataset;
  if (retry) again(+retry);
  if (!events) return;
  const source = new EventSource(events);
  source.onmessage = ({ data }) => {
    const next = new DOMParser().parseFromString(data, "text/html");
    for (const id of ["state", "order"]) {
      const here = document.getElementById(id), there = next.getElementById(id);
      if (!there || here.innerHTML === there.innerHTML) continue;
      here.className = there.className;
      here.hidden = there.hidden;
      here.innerHTML = there.innerHTML;
    }
    document.title = document.querySelector("h1").textContent + " – " + document.body.dataset.shop;
  };
  source.addEventListener("end", () => source.close());
  source.addEventListener("gone", () => location.reload());
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(30); };
})();
