import { camera, insecure, microphone } from "./problem";

/** Choice of devices; empty: the browser's own. */
export interface Choice {
  microphone: string;
  speaker: string;
}

/** openMicrophone gives a stream of the microphone, or throws a Problem. */
export async function openMicrophone(id: string): Promise<MediaStream> {
  const no = insecure();
  if (no) throw no;
  const audio: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    if (id) {
      try {
        return await navigator.mediaDevices.getUserMedia({ audio: { ...audio, deviceId: { exact: id } } });
      } catch (error) {
        // The one that was chosen has been unplugged: any other is better than none.
        if ((error as DOMException).name !== "OverconstrainedError" && (error as DOMException).name !== "NotFoundError") throw error;
      }
    }
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw microphone(error);
  }
}

/** openCamera gives a stream of the camera, or throws a Problem. */
export async function openCamera(): Promise<MediaStream> {
  const no = insecure();
  if (no) throw no;
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    throw camera(error);
  }
}

/** devices of one kind. Their labels are empty until the page has been allowed to use a microphone. */
export async function devices(kind: "audioinput" | "audiooutput"): Promise<MediaDeviceInfo[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all.filter((d) => d.kind === kind && d.deviceId !== "");
}

/** speakersCanBeChosen tells whether this browser lets a page choose (Firefox and Safari may not). */
export function speakersCanBeChosen(): boolean {
  return "setSinkId" in HTMLMediaElement.prototype;
}

export function stop(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
