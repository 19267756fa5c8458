import { h } from "./dom";

const letters: Record<string, string> = { "2": "ABC", "3": "DEF", "4": "GHI", "5": "JKL", "6": "MNO", "7": "PQRS", "8": "TUV", "9": "WXYZ", "0": "+" };
const words: Record<string, string> = { "*": "star", "#": "hash" };

/** keypad of twelve keys. Holding 0 gives +, where long presses are asked for. */
export function keypad(press: (key: string) => void, plus = false): HTMLElement {
  const keys = [..."123456789*0#"].map((key) => {
    let timer = 0;
    let long = false;
    const down = () => {
      long = false;
      if (plus && key === "0") timer = window.setTimeout(() => ((long = true), press("+")), 600);
    };
    return h(
      "button",
      {
        type: "button",
        class: "key",
        "aria-label": words[key] ?? key,
        "data-key": key,
        onpointerdown: down,
        onpointerup: () => window.clearTimeout(timer),
        onclick: () => (long ? (long = false) : press(key)),
      },
      h("span", { class: "digit" }, key),
      h("span", { class: "letters", "aria-hidden": "true" }, letters[key] ?? ""),
    );
  });
  return h("div", { class: "keypad", role: "group", "aria-label": "Keypad" }, ...keys);
}
