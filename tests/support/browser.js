const frame = document.getElementById("frame");
const measure = () => {
  const page = frame.contentDocument, window_ = frame.contentWindow, root = page.documentElement;
  const style = (element) => window_.getComputedStyle(element);
  const box = (element) => element.getBoundingClientRect();
  const isDrawn = (mark) => {
    const { stroke, fill, strokeWidth } = style(mark);
    return (stroke !== "none" && parseFloat(strokeWidth) > 0) || fill !== "none";
  };
  const sticksOut = (element) => box(element).right > window_.innerWidth + 0.5 && !element.closest(".scroll, svg, .skip");
  // Whether a mark of the same moment, drawn later, lies on the middle of this one.
  const isUnder = (core, later) => {
    const [own, other] = [box(core), box(later)];
    return Math.abs(own.x - other.x) < 0.5 && Math.abs(own.y - other.y) < parseFloat(style(later).strokeWidth) / 2;
  };
  const name = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}`;
  const measured = {
    width: window_.innerWidth,
    scroll: root.scrollWidth,
    height: root.scrollHeight,
    wide: [...page.querySelectorAll("body *")].filter(sticksOut).map(name),
    background: style(page.body).backgroundColor,
    ink: style(page.body).color,
    sections: [...page.querySelectorAll("section")].map((section) => section.id),
    drawings: [...page.querySelectorAll("figure svg[role=img]")].map((svg) => ({
      title: svg.querySelector("title").textContent,
      description: svg.querySelector("desc").textContent,
      width: box(svg).width,
      height: box(svg).height,
      hidden: [...svg.querySelectorAll(".core")].filter((core, at, all) => all.slice(at + 1).some((later) => isUnder(core, later))).length,
      marks: [...svg.querySelectorAll(".line, .bar, .core, .failed")].filter(isDrawn).length,
      tall: Math.max(0, ...[...svg.querySelectorAll(".ground, .bar")].map((mark) => box(mark).height)),
    })),
    broken: [...page.querySelectorAll("code.id")].filter((id) => id.getClientRects().length > 1).map((id) => id.textContent),
    small: [...page.querySelectorAll("p, td, th, dd, dt, li, a, h1, h2, summary")].filter((element) => parseFloat(style(element).fontSize) < 12).map(name),
  };
  const out = document.createElement("pre");
  out.id = "measured";
  out.textContent = encodeURIComponent(JSON.stringify(measured));
  document.body.append(out);
};
frame.addEventListener("load", measure);
