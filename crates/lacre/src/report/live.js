(() => {
  const root = document.documentElement;
  const live = document.getElementById("live");
  let look = root.dataset.look;
  // The sections are exchanged in place: whoever reads keeps the place and the tables that were opened.
  const exchange = async () => {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const page = document.getElementById("page");
    const open = [...page.querySelectorAll("details")].map((details) => details.open);
    page.innerHTML = next.getElementById("page").innerHTML;
    page.querySelectorAll("details").forEach((details, number) => { details.open = open[number] === true; });
    document.title = next.title;
    look = next.documentElement.dataset.look;
  };
  const ask = async () => {
    try {
      const answer = await fetch("/live", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      live.innerHTML = await answer.text();
      if (answer.headers.get("lacre-look") !== look) await exchange();
      root.classList.remove("gone");
    } catch {
      root.classList.add("gone");
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
})();
