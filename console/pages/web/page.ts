import type { Bookmark, Call } from "./call";
import { CallView } from "./callview";
import { announce, button, clock, h } from "./dom";
import { keypad } from "./keypad";
import { Phone, type Account } from "./phone";
import { insecure, Problem } from "./problem";
import { loadChoice, settings } from "./settings";
import { signIn } from "./signin";
import { accountOf, facts, session, type Facts, type Number, type Session } from "./switch";
import { Tones } from "./tones";

/** Kept is what a tab keeps over a reload: sessionStorage ends with the tab. */
interface Kept {
  account: Account;
  numbers: Number[];
  token?: string;
  expires?: number;
  instance: string;
}

const keptAs = "tandem.phone";

/** leftAs is where the calls of a page that is reloaded wait for it, and leftFor how long the switch waits, in milliseconds. */
const leftAs = "tandem.calls";
const leftFor = 10_000;

/** Page is the phone at /phone. */
class Page {
  phone?: Phone;
  private kept?: Kept;
  private facts!: Facts;
  private readonly root = document.getElementById("app")!;
  private readonly views = new Map<Call, CallView>();
  private sound?: AudioContext;
  private readonly context = () => {
    this.sound ??= new AudioContext();
    if (this.sound.state === "suspended") void this.sound.resume().catch(() => undefined);
    return this.sound;
  };
  private readonly tones = new Tones(this.context);
  private readonly notice = h("div", { class: "notice", hidden: true });
  private readonly state = h("span", { class: "state" });
  private readonly calls = h("div", { class: "calls" });
  private readonly number = h("input", { id: "number", class: "number", type: "text", inputmode: "tel", autocomplete: "off", placeholder: "Number", "aria-label": "Number to call", enterkeyhint: "go" });
  private readonly dialer = h("section", { class: "dialer", "aria-label": "Dial" });
  private adding = false;

  async start(): Promise<void> {
    try {
      this.facts = await facts(location.origin);
      await this.enter();
    } catch (error) {
      this.signIn(error as Error);
    }
    this.root.removeAttribute("aria-busy");
    window.addEventListener("keydown", (e) => this.key(e));
    window.addEventListener("pagehide", () => this.leave());
    window.addEventListener("pageshow", (e) => e.persisted && location.reload());
    window.addEventListener("beforeunload", (e) => this.phone?.calls.some((c) => c.state === "up") && !navigator.webdriver && e.preventDefault());
  }

  /** leave notes the calls that are up, for a reload. When the page is closed they are ended by the switch, which hears nothing of it any more. */
  private leave(): void {
    const left = this.phone?.leave() ?? [];
    if (left.length > 0) sessionStorage.setItem(leftAs, JSON.stringify(left));
  }

  /** comeBack takes up the calls that were left, the ones on hold first. */
  private comeBack(): void {
    const left = read<Bookmark[]>(leftAs) ?? [];
    sessionStorage.removeItem(leftAs);
    const mine = left.filter((b) => b.extension === this.phone!.account.extension && Date.now() - b.left < leftFor);
    for (const b of mine.sort((a, z) => Number(z.held) - Number(a.held))) this.phone!.comeBack(b);
  }

  /** enter signs in with a link, or as this tab was signed in before; otherwise it asks. */
  private async enter(): Promise<void> {
    const link = new URLSearchParams(location.hash.slice(1));
    if (location.hash) history.replaceState(null, "", location.pathname);
    this.kept = read<Kept>(keptAs);
    const token = link.get("token") ?? this.kept?.token;
    if (token) return this.borrow(token);
    const account = link.has("username") ? this.fromLink(link) : this.kept?.account;
    if (!account) return this.signIn();
    const refused = await this.open(account, this.kept?.numbers ?? []);
    if (refused) return this.signIn(refused);
    this.keep({ account, numbers: this.kept?.numbers ?? [], instance: this.kept?.instance ?? instance() });
  }

  /** fromLink is the account of a link with a short-lived password: #username=EXPIRY:EXTENSION&password=… */
  private fromLink(link: URLSearchParams): Account {
    const username = link.get("username")!;
    return { server: this.server(), domain: link.get("domain") ?? this.facts.domain, extension: username.replace(/^\d+:/, ""), username, password: link.get("password") ?? "", name: link.get("name") ?? undefined };
  }

  private server(): string {
    return location.origin.replace(/^http/, "ws") + "/sip";
  }

  /** borrow asks the switch for an extension, and again before its password ends. */
  private async borrow(token: string): Promise<void> {
    let s: Session;
    try {
      s = await session(token, this.kept?.account.extension ?? "");
    } catch (error) {
      sessionStorage.removeItem(keptAs);
      this.kept = undefined;
      throw error;
    }
    const account = accountOf(s);
    this.keep({ account, numbers: s.numbers, token, expires: s.expires, instance: this.kept?.instance ?? instance() });
    const refused = await this.open(account, s.numbers);
    if (refused) throw refused;
    window.setTimeout(() => void this.renew(token), Math.max(60, (s.expires - Date.now() / 1000) / 2) * 1000);
  }

  private async renew(token: string): Promise<void> {
    if (this.phone?.calls.length) return void window.setTimeout(() => void this.renew(token), 60_000);
    this.phone?.stop();
    await this.borrow(token).catch((error) => this.signIn(error));
  }

  private keep(k: Kept): void {
    this.kept = k;
    sessionStorage.setItem(keptAs, JSON.stringify(k));
  }

  private signIn(error?: Error): void {
    document.title = "Phone";
    this.root.replaceChildren(
      signIn(this.facts?.domain ?? "", error, async (extension, password, domain) => {
        const account = { server: this.server(), domain, extension, password };
        const refused = await this.open(account, []);
        if (refused) return refused;
        this.keep({ account, numbers: [], instance: this.kept?.instance ?? instance() });
        return undefined;
      }),
    );
  }

  private signOut(): void {
    this.phone?.stop();
    this.phone = undefined;
    this.kept = undefined;
    sessionStorage.removeItem(keptAs);
    this.signIn();
  }

  /** open registers; what stood in the way comes back, and then the page still asks who is there. */
  private open(account: Account, numbers: Number[]): Promise<Problem | undefined> {
    const phone = new Phone(account, { choice: loadChoice(), instance: this.kept?.instance, userAgent: `Tandem page ${this.facts.version}` });
    return new Promise((resolve) => {
      let entered = false;
      phone.on("state", (state) => {
        if (state === "refused" && !entered) {
          const problem = phone.problem;
          phone.stop();
          return resolve(problem);
        }
        if (!entered && (state === "registered" || state === "connecting" && phone.problem)) {
          entered = true;
          this.phone = phone;
          this.show(numbers);
          resolve(undefined);
        }
        if (entered && state === "registered") this.comeBack();
        if (entered) this.showState();
      });
      phone.on("change", () => this.showCalls());
      phone.on("call", (call) => this.ring(call));
      phone.start();
    });
  }

  /** show builds the phone. */
  private show(numbers: Number[]): void {
    const { account } = this.phone!;
    document.title = `${account.name || account.extension} · Phone`;
    const listed = numbers.filter((n) => n.number !== account.extension);
    const parts = [
      h("form", { class: "dial", onsubmit: (e: Event) => (e.preventDefault(), this.dial(this.number.value)) }, this.number, button("erase", "Erase", () => ((this.number.value = this.number.value.slice(0, -1)), this.number.focus()), "bare")),
      keypad((k) => ((this.number.value += k), this.tones.key(k)), true),
      h("div", { class: "bottom" }, button("call", "Call", () => this.dial(this.number.value), "round answer")),
      listed.length > 0 && h("h2", { class: "small" }, "Numbers"),
      listed.length > 0 && h("ul", { class: "numbers" }, ...listed.map((n) => h("li", {}, h("button", { type: "button", "data-number": n.number, onclick: () => this.dial(n.number) }, h("span", {}, n.name), h("span", { class: "faint" }, n.number))))),
      !!this.kept?.token && h("p", { class: "faint center" }, h("a", { href: `/phone#token=${this.kept!.token}`, target: "_blank", rel: "opener" }, "Open a second phone"), " and call from one to the other."),
    ];
    this.dialer.replaceChildren(...parts.filter((p) => p !== false));
    this.root.replaceChildren(
      h(
        "header",
        { class: "top" },
        h("div", {}, h("h1", {}, account.name || account.extension), h("p", {}, h("span", { class: "faint" }, account.name ? `${account.extension} · ` : ""), this.state)),
        button("settings", "Settings", () => this.settings(), "bare"),
      ),
      this.notice,
      this.calls,
      this.dialer,
    );
    const no = insecure();
    if (no) this.tell(no);
    this.showState();
    this.showCalls();
    this.number.focus();
  }

  private showState(): void {
    const { state, problem } = this.phone!;
    const words = { registered: "Ready", connecting: "Connecting…", offline: "Off", refused: "Refused" };
    const before = this.state.dataset.state;
    this.state.textContent = words[state];
    this.state.dataset.state = state;
    if (state === "registered" && this.notice.dataset.code === "network") this.notice.hidden = true;
    if (problem) {
      const running = this.phone!.calls.length > 0;
      this.tell(running ? new Problem(problem.code, problem.what, "Your call goes on; the page is trying to come back.") : problem);
    } else if (before !== state && state === "registered") announce("Ready to call.");
  }

  private settings(): void {
    const phone = this.phone!;
    settings(
      phone.choice,
      this.context,
      (kind) => {
        for (const call of phone.calls) {
          const done = kind === "microphone" ? call.useMicrophone(phone.choice.microphone) : call.useSpeaker(phone.choice.speaker);
          void done.catch((error) => this.tell(error));
        }
      },
      () => this.signOut(),
    );
  }

  private dial(number: string): void {
    if (!number.trim()) return this.number.focus();
    this.context();
    this.notice.hidden = true;
    const no = insecure();
    if (no) return this.tell(no);
    if (this.phone!.state !== "registered") return this.tell(new Problem("network", "There is no connection to the switch.", "Wait until it says Ready, and call again."));
    this.adding = false;
    const call = this.phone!.call(number);
    announce(`Calling ${number}.`);
    this.views.get(call)?.focus();
    this.number.value = "";
  }

  private ring(call: Call): void {
    announce(`${call.name || call.number} is calling.`, true);
    this.views.get(call)?.focus();
  }

  /** showCalls brings the views in line with the calls. */
  private showCalls(): void {
    const calls = this.phone?.calls ?? [];
    for (const call of calls) {
      if (this.views.has(call)) this.views.get(call)!.update();
      else this.watch(call);
    }
    if (calls.length === 0) this.adding = false;
    this.calls.hidden = calls.length === 0;
    this.dialer.hidden = calls.length > 0 && !this.adding;
    this.root.classList.toggle("adding", this.adding && calls.length > 0);
    this.showTones(calls);
    const ringing = calls.find((c) => c.state === "incoming");
    document.title = ringing ? `☎ ${ringing.name || ringing.number}` : `${this.phone?.account.name || this.phone?.account.extension} · Phone`;
  }

  private watch(call: Call): void {
    const view = new CallView(call, this.phone!, this.tones, this.context, () => {
      this.adding = true;
      call.hold(true);
      this.showCalls();
      this.number.focus();
    }, (problem) => this.tell(problem));
    this.views.set(call, view);
    this.calls.prepend(view.element);
    call.on("ended", (problem) => this.ended(call, problem));
  }

  private ended(call: Call, problem: Problem | undefined): void {
    const focused = this.views.get(call)?.element.contains(document.activeElement);
    this.views.get(call)?.close();
    this.views.delete(call);
    if (problem) this.tell(problem, `${call.name || call.number}: `);
    else if (call.since) announce(`Call ended after ${clock((Date.now() - call.since.getTime()) / 1000)}.`);
    window.setTimeout(() => {
      this.showCalls();
      if (focused && !this.dialer.hidden) this.number.focus();
    });
  }

  private showTones(calls: Call[]): void {
    const want = calls.some((c) => c.state === "up") ? "" : calls.some((c) => c.state === "incoming") ? "ring" : calls.some((c) => c.state === "ringing" && c.remote.getTracks().length === 0) ? "ringback" : "";
    if (want === this.root.dataset.tone) return;
    this.root.dataset.tone = want;
    this.tones.stop();
    if (want === "ring") this.tones.ring();
    if (want === "ringback") this.tones.ringback();
  }

  /** tell shows a problem until it is closed or over. */
  private tell(problem: Problem, about = ""): void {
    this.notice.replaceChildren(h("div", {}, h("strong", {}, about + problem.what), " ", problem.remedy), button("close", "Close", () => (this.notice.hidden = true), "bare"));
    this.notice.dataset.code = problem.code;
    this.notice.hidden = false;
    announce(`${about}${problem.what} ${problem.remedy}`, true);
  }

  private key(e: KeyboardEvent): void {
    const at = e.target as HTMLElement;
    if (e.ctrlKey || e.metaKey || e.altKey || at.closest("input, select, dialog")) return;
    const up = this.phone?.calls.filter((c) => c.state === "up" && !c.held) ?? [];
    const view = this.views.get(up[0] ?? this.phone?.calls[0]!);
    if (view?.key(e.key)) return e.preventDefault();
    if (!view && /^[0-9*#+]$/.test(e.key) && !this.dialer.hidden) this.number.focus();
  }
}

/** instance is a URN for this tab (RFC 5626 §4.1), without the scheme. */
function instance(): string {
  return crypto.randomUUID?.() ?? "00000000-0000-4000-8000-" + [...crypto.getRandomValues(new Uint8Array(6))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** read is what a tab has kept under a name. */
function read<T>(name: string): T | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

declare global {
  interface Window {
    page: Page;
  }
}
window.page = new Page(); // for the browser's console, and for tests
void window.page.start();
