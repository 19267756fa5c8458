/** Problem is something that went wrong, in words for the person at the page: what it is, and what to do about it. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly what: string,
    readonly remedy: string,
  ) {
    super(`${what} ${remedy}`);
    this.name = "Problem";
  }
}

/** insecure tells why a page may not use a microphone at all; undefined when it may. */
export function insecure(): Problem | undefined {
  if (window.isSecureContext && "mediaDevices" in navigator) return undefined;
  return new Problem(
    "insecure",
    "Browsers give the microphone to secure pages only.",
    `Open this page as https://… or, on the machine that the switch runs on, as http://localhost:${location.port || "80"}${location.pathname}.`,
  );
}

/** microphone explains an error of getUserMedia. */
export function microphone(error: unknown): Problem {
  if (error instanceof Problem) return error;
  switch ((error as DOMException)?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Problem("permission", "The microphone is blocked for this page.", "Click the symbol left of the address, allow the microphone, and call again.");
    case "NotFoundError":
    case "OverconstrainedError":
      return new Problem("no-microphone", "There is no microphone.", "Plug one in, or choose another in the settings, and call again.");
    case "NotReadableError":
    case "AbortError":
      return new Problem("microphone-busy", "The microphone does not start.", "Close other programs that use it, or plug it in anew, and call again.");
  }
  return new Problem("microphone", "The microphone does not start.", String((error as Error)?.message ?? error));
}

/** camera explains the same of a camera: the call goes on without it. */
export function camera(error: unknown): Problem {
  switch ((error as DOMException)?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Problem("camera", "The camera is blocked for this page.", "Click the symbol left of the address, allow the camera, and press Camera again.");
    case "NotFoundError":
    case "OverconstrainedError":
      return new Problem("camera", "There is no camera.", "Plug one in and press Camera again.");
  }
  return new Problem("camera", "The camera does not start.", "Close other programs that use it, and press Camera again.");
}

/** registration explains why signing in failed. status is the SIP status; 0: no answer came. */
export function registration(status: number, reason: string): Problem {
  switch (status) {
    case 401:
    case 403:
    case 407:
      return new Problem("password", "Wrong extension or password.", "Check both and sign in again.");
    case 404:
      return new Problem("domain", "The switch does not answer for this domain.", "Ask whoever runs it for the right one.");
    case 503:
      return new Problem("busy-switch", "The switch takes no registrations at the moment.", "The page tries again by itself.");
    case 0:
      return new Problem("network", "The switch does not answer.", "Check your network; the page tries again by itself.");
  }
  return new Problem("registration", `The switch refused to sign you in: ${status} ${reason}.`, "The page tries again by itself.");
}

const failures: Record<number, [string, string, string]> = {
  403: ["forbidden", "You may not call this number.", "Ask whoever runs the switch if you should."],
  404: ["unknown", "There is no such number.", "Check it and call again."],
  410: ["unknown", "There is no such number any more.", ""],
  408: ["no-answer", "Nobody answered.", "Try again later."],
  480: ["unavailable", "Nobody can be reached there at the moment.", "Try again later."],
  484: ["incomplete", "The number is not complete.", "Check it and call again."],
  486: ["busy", "Busy.", "Try again later."],
  488: ["media", "The other side does not understand this browser's audio.", ""],
  503: ["overload", "The switch takes no calls at the moment.", "Try again in a minute."],
  600: ["busy", "Busy.", "Try again later."],
  603: ["declined", "The call was declined.", ""],
};

/** failure explains why a call came to nothing; undefined where nothing needs explaining: somebody hung up. */
export function failure(status: number, cause: string): Problem | undefined {
  if (status === 487 || status === 200 || cause === "Terminated" || cause === "Canceled") return undefined;
  const known = failures[status];
  if (known) return new Problem(...known);
  switch (cause) {
    case "RTP Timeout":
      return new Problem("media-lost", "The connection for sound was lost.", "Check your network and call again.");
    case "Connection Error":
    case "Request Timeout":
      return new Problem("network", "The switch does not answer.", "Check your network and call again.");
    case "User Denied Media Access":
      return microphone({ name: "NotAllowedError" });
    case "WebRTC Error":
    case "Bad Media Description":
    case "Incompatible SDP":
      return new Problem("media", "Browser and switch found no common way to carry sound.", "Reload the page and call again.");
  }
  return new Problem("failed", `The call failed: ${status || ""} ${cause}`.trim() + ".", "Try again.");
}
