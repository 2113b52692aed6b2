/** Keeps the page for use without a network, by the service worker (offline/sw.ts). */

/** On this host a page that was just built has to be seen at once. */
const BUILDING = "localhost";

export async function keepForOffline(): Promise<void> {
  const build = document.querySelector<HTMLMetaElement>('meta[name="mka-build"]')?.content;
  if (!build || !("serviceWorker" in navigator) || location.hostname === BUILDING) return;
  try {
    await navigator.serviceWorker.register("./sw.js", { updateViaCache: "none" });
    const { active } = await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) active?.postMessage({ claim: build });
  } catch {
    // Storage or workers of this kind may be forbidden. The page works without.
  }
}
