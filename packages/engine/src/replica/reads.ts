/**
 * How a view learns what it depends on: reading an item's field, a query or a status reports what to subscribe to. A user interface
 * library registers one hook for all databases of the page; without one a read costs a comparison.
 */

/** Something that was read and that tells when it changes. */
export interface Readable {
  subscribe(listener: () => void): () => void
}

type Hook = (read: Readable) => void

const hooks = new Set<Hook>()
let paused = false

/** Calls `hook` with everything that is read from now on. Returns the function that ends it. */
export const onRead = (hook: Hook): (() => void) => {
  hooks.add(hook)
  return () => void hooks.delete(hook)
}

export const reportRead = (read: Readable): void => {
  if (hooks.size === 0 || paused) return
  for (const hook of hooks) hook(read)
}

/** Runs without reporting: the caller has reported one thing that stands for all of it. */
export const unreported = <Result>(run: () => Result): Result => {
  const before = paused
  paused = true
  try {
    return run()
  } finally {
    paused = before
  }
}
