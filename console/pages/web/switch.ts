import type { Account } from "./phone";
import { Problem } from "./problem";

/** Facts are what the switch tells everybody. */
export interface Facts {
  domain: string;
  version: string;
  /** guests: the switch gives out extensions to whoever has a link with a token. */
  guests: boolean;
}

/** Number is one that the switch suggests to dial. */
export interface Number {
  number: string;
  name: string;
}

/** Session is an extension that the switch lends for a while. */
export interface Session {
  extension: string;
  name: string;
  username: string;
  password: string;
  domain: string;
  /** expires is when the password ends, in seconds since 1970. */
  expires: number;
  numbers: Number[];
}

/** origin is the switch's own address; of the script tag that an embedding page has, or of the page itself. */
export async function facts(origin: string): Promise<Facts> {
  return ask<Facts>(`${origin}/phone/config`);
}

/** session asks for an extension; again names the one that the page had before. */
export async function session(token: string, again: string): Promise<Session> {
  return ask<Session>("/phone/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token, extension: again }) });
}

/** socketOf is the WebSocket of a switch whose pages are at origin. */
export function socketOf(origin: string): string {
  return origin.replace(/^http/, "ws") + "/sip";
}

export function accountOf(s: Session): Account {
  return { server: socketOf(location.origin), domain: s.domain, extension: s.extension, username: s.username, password: s.password, name: s.name };
}

async function ask<T>(url: string, init?: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-store", ...init });
  } catch {
    throw new Problem("network", "The switch does not answer.", "Check your network and reload the page.");
  }
  if (response.status === 403) throw new Problem("link", "This link is no longer good.", "Take the one that the switch printed last, or sign in.");
  if (!response.ok) throw new Problem("switch", `The switch answered ${response.status}.`, await response.text());
  return response.json();
}
