type Child = Node | string | undefined | false;
type Attributes = Record<string, string | boolean | undefined | ((event: any) => void)>;

/** h makes an element: attributes by name, listeners as on… functions, children in order. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") e.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value) e.setAttribute(name, value);
  }
  e.append(...children.filter((c): c is Node | string => c !== undefined && c !== false));
  return e;
}

const icons: Record<string, string> = {
  call: "M6.6 10.8a15 15 0 0 0 6.6 6.6l2.2-2.2a1 1 0 0 1 1-.25 11.400 11.400 0 0 0 3.600.57 1 1 0 0 1 1 1V20a1 1 0 0 1-1 1A17 17 0 0 1 3 4a1 1 0 0 1 1-1h3.500a1 1 0 0 1 1 1c0 1.250.2 2.450.57 3.570a1 1 0 0 1-.25 1z",
  hangup: "M12 9c-1.600 0-3.150.25-4.600.7v3.100a1 1 0 0 1-.56.9 11.500 11.500 0 0 0-2.660 1.850 1 1 0 0 1-1.400 0L.3 13.100a1 1 0 0 1 0-1.420A16.940 16.940 0 0 1 12 7a16.940 16.940 0 0 1 11.700 4.680 1 1 0 0 1 0 1.420l-2.480 2.450a1 1 0 0 1-1.400 0 11.300 11.300 0 0 0-2.670-1.850 1 1 0 0 1-.55-.9V9.700A15.600 15.600 0 0 0 12 9z",
  mute: "M12 14a3 3 0 0 0 3-3V5a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zm5-3a5 5 0 0 1-10 0H5a7 7 0 0 0 6 6.900V21h2v-3.100A7 7 0 0 0 19 11z",
  hold: "M6 5h4v14H6zm8 0h4v14h-4z",
  keypad: "M5 4h3v3H5zm5.500 0h3v3h-3zM16 4h3v3h-3zM5 9.500h3v3H5zm5.500 0h3v3h-3zm5.500 0h3v3h-3zM5 15h3v3H5zm5.500 0h3v3h-3zm5.500 0h3v3h-3zm-5.500 4.500h3v3h-3z",
  transfer: "M5 5v6h10.200l-3.600-3.600L13 6l6 6-6 6-1.400-1.400 3.600-3.600H3V5z",
  camera: "M17 10.500V7a1 1 0 0 0-1-1H4a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1v-3.500l4 4v-11z",
  add: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  settings: "M19.400 13a7.500 7.500 0 0 0 0-2l2-1.600-2-3.400-2.400 1a7.600 7.600 0 0 0-1.700-1L15 3.500h-4L10.600 6a7.600 7.600 0 0 0-1.700 1l-2.400-1-2 3.400L6.600 11a7.500 7.500 0 0 0 0 2l-2.100 1.600 2 3.400 2.400-1c.5.4 1.100.74 1.700 1l.4 2.500h4l.4-2.500a7.600 7.600 0 0 0 1.700-1l2.400 1 2-3.400zM13 15.500a3.500 3.500 0 1 1 0-7 3.500 3.500 0 0 1 0 7z",
  erase: "M22 4H8a2 2 0 0 0-1.600.8L1 12l5.400 7.200A2 2 0 0 0 8 20h14zm-3.700 11.300-1.400 1.400L14 13.800l-2.900 2.900-1.400-1.400 2.900-2.900-2.900-2.900 1.400-1.400L14 11l2.900-2.900 1.400 1.400-2.900 2.900z",
  close: "m18.300 7.100-1.400-1.400-4.900 4.900-4.900-4.900-1.400 1.400 4.900 4.900-4.900 4.900 1.400 1.400 4.900-4.900 4.900 4.900 1.400-1.400-4.900-4.900z",
};

/** icon is a picture that a screen reader passes over. */
export function icon(name: string): SVGSVGElement {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", icons[name]);
  svg.append(path);
  return svg;
}

/** button with an icon, and a word that is shown (under) or only read. */
export function button(name: string, word: string, press: () => void, kind = ""): HTMLButtonElement {
  return h("button", { type: "button", class: kind, title: kind.includes("round") ? word : undefined, onclick: press }, icon(name), h("span", { class: kind.includes("bare") ? "unseen" : "" }, word));
}

/** announce has a screen reader say a line when it has time; urgent: at once. */
export function announce(text: string, urgent = false): void {
  const region = document.getElementById(urgent ? "alert" : "status")!;
  region.textContent = "";
  window.setTimeout(() => (region.textContent = text), 50);
}

/** clock writes seconds as m:ss or h:mm:ss. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}
