/** The longest delay that `setTimeout` takes; it runs at once what is to wait longer. */
const longest = 2 ** 31 - 1

/**
 * Calls `run` once when the monotonic clock has moved on by `ms`. The platform's timers may run a moment early by that clock, or count
 * on while the device slept; both are looked at when they fire. In Node a pending timer does not keep the process alive.
 */
export const timer = (ms: number, run: () => void): (() => void) => {
  const due = performance.now() + Math.max(0, ms)
  let handle: ReturnType<typeof setTimeout> | undefined
  const arm = (): void => {
    const left = Math.ceil(due - performance.now())
    handle = setTimeout(() => (performance.now() < due ? arm() : run()), Math.min(left, longest))
    letGo(handle)
  }
  arm()
  return () => clearTimeout(handle)
}

/** A browser's handle is a number; this file compiles for both, with or without Node's types. */
const letGo = (handle: unknown): void => {
  if (typeof handle !== 'object' || handle === null || !('unref' in handle)) return
  if (typeof handle.unref === 'function') handle.unref()
}
