// tandem.js: a telephone for somebody else's page.
//
//   <script src="https://pbx.example.com/tandem.js"></script>
//   <button id="call">Call us</button>
//   <script>
//     const phone = Tandem.phone({ username: "…", password: "…" });
//     document.getElementById("call").onclick = () => phone.call("1");
//   </script>
import { Call } from "./call";
import { devices, speakersCanBeChosen } from "./devices";
import { Emitter } from "./emitter";
import { Meter } from "./meter";
import { Phone, type Account, type Options } from "./phone";
import { insecure, Problem } from "./problem";
import { mos } from "./quality";
import { facts, socketOf } from "./switch";

/** source is where this script came from: the switch. */
const source = new URL((document.currentScript as HTMLScriptElement | null)?.src ?? location.href).origin;

interface Settings extends Partial<Account>, Options {
  password: string;
}

interface Events {
  state: string;
  call: Call;
  change: undefined;
}

/** Line is a phone that connects at its first call, or at once with register(). */
class Line extends Emitter<Events> {
  private made?: Promise<Phone>;

  constructor(private readonly settings: Settings) {
    super();
  }

  /** register connects and takes calls too; without it the line only calls. */
  async register(): Promise<Phone> {
    this.made ??= this.make();
    const phone = await this.made;
    if (phone.state === "registered") return phone;
    return new Promise((resolve, reject) => {
      const done = phone.on("state", (state) => {
        if (state === "connecting" && !phone.problem) return;
        done();
        if (state === "registered") return resolve(phone);
        const problem = phone.problem ?? new Problem("offline", "The phone is off.", "");
        if (state !== "connecting") {
          phone.stop(); // the next call begins anew, perhaps with another password
          this.made = undefined;
        }
        reject(problem);
      });
    });
  }

  /** call dials once the line stands; it throws a Problem, which says what to do, where it does not come to stand. */
  async call(number: string): Promise<Call> {
    const no = insecure();
    if (no) throw no;
    return (await this.register()).call(number);
  }

  /** hangUp ends every call. */
  async hangUp(): Promise<void> {
    for (const call of (await this.made)?.calls ?? []) call.hangUp();
  }

  /** stop hangs up and disconnects. */
  async stop(): Promise<void> {
    (await this.made)?.stop();
    this.made = undefined;
  }

  private async make(): Promise<Phone> {
    const s = this.settings;
    const extension = s.extension ?? s.username?.replace(/^\d+:/, "");
    if (!extension) throw new TypeError("Tandem.phone wants an extension or a username");
    const domain = s.domain ?? (await facts(source)).domain;
    const account: Account = { server: s.server ?? socketOf(source), domain, extension, username: s.username, password: s.password, name: s.name };
    const phone = new Phone(account, { userAgent: "tandem.js", ...s });
    phone.on("state", (v) => this.emit("state", v));
    phone.on("call", (v) => this.emit("call", v));
    phone.on("change", (v) => this.emit("change", v));
    window.addEventListener("pagehide", () => phone.stop());
    phone.start();
    return phone;
  }
}

/** Tandem is what an embedding page sees. */
const Tandem = {
  phone: (settings: Settings) => new Line(settings),
  Phone,
  Call,
  Meter,
  Problem,
  devices,
  speakersCanBeChosen,
  mos,
};

declare global {
  interface Window {
    Tandem: typeof Tandem;
  }
}
window.Tandem = Tandem;
