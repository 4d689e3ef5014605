/** The path of an executable Chromium, installed where possible. Rejects with one line that says what to run. */
export function findChromium(): Promise<string>
