import { button, h } from "./dom";

/** signIn asks who is there. enter registers, and gives back what stood in the way. */
export function signIn(domain: string, problem: Error | undefined, enter: (extension: string, password: string, domain: string) => Promise<Error | undefined>): HTMLElement {
  const note = h("p", { class: "problem", role: "alert", id: "problem" }, problem?.message ?? "");
  const field = (id: string, word: string, attributes: Record<string, string | boolean>) => {
    const input = h("input", { id, required: true, "aria-describedby": "problem", ...attributes });
    return { input, row: h("div", { class: "field" }, h("label", { for: id }, word), input) };
  };
  const extension = field("extension", "Extension", { autocomplete: "username", spellcheck: "false", autocapitalize: "none" });
  const password = field("password", "Password", { type: "password", autocomplete: "current-password" });
  const place = field("domain", "Domain", { autocomplete: "off", spellcheck: "false", autocapitalize: "none", value: domain });
  const submit = h("button", { type: "submit", class: "primary wide" }, "Sign in");
  const form = h(
    "form",
    {
      class: "sign-in",
      onsubmit: async (e: Event) => {
        e.preventDefault();
        submit.disabled = true;
        note.textContent = "";
        const refused = await enter(extension.input.value.trim(), password.input.value, place.input.value.trim());
        submit.disabled = false;
        if (refused) note.textContent = refused.message;
      },
    },
    h("div", { class: "mark", "aria-hidden": "true" }, button("call", "", () => undefined, "bare").firstElementChild!),
    h("h1", {}, "Phone"),
    note,
    extension.row,
    password.row,
    h("details", {}, h("summary", {}, "Domain"), place.row),
    submit,
  );
  window.setTimeout(() => extension.input.focus());
  return form;
}
