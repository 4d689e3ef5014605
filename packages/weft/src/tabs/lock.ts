/**
 * The locks of the tabs. One is the leader's, for which all others stand in line: the browser gives it on when its tab is closed, crashed or
 * killed. One is each tab's own for as long as it lives and is awake, so that whoever waits for it learns of the end.
 */
import { isHeldAsleep } from '@weft-db/storage/weblock'

const leader = (name: string): string => `weft leader ${name}`
const life = (tab: string): string => `weft tab ${tab}`

export const hallName = (name: string): string => `weft tabs ${name}`
export const lineName = (name: string, line: string): string => `weft line ${name} ${line}`

/** Whether tabs can find each other here: only secure contexts have Web Locks. */
export const canShare = (): boolean => {
  const { locks }: { locks?: LockManager } = globalThis.navigator ?? {}
  return locks !== undefined && typeof BroadcastChannel !== 'undefined'
}

/** Resolves when everybody can see that the tab lives, until the page ends or the returned function is called. */
export const live = (tab: string): Promise<() => void> =>
  new Promise((resolve, reject) => {
    navigator.locks.request(life(tab), () => new Promise<void>((end) => resolve(end))).catch(reject)
  })

/** Calls `gone` when the tab is no more. The returned function stops waiting. Whoever waits and sleeps keeps nobody else from hearing of it. */
export const outlive = (tab: string, gone: () => void): (() => void) => {
  const waiting = new AbortController()
  const options = { mode: 'shared', signal: waiting.signal } as const
  const over = (): void => {
    if (!waiting.signal.aborted) gone()
  }
  navigator.locks.request(life(tab), options, over).catch(() => undefined)
  return () => waiting.abort()
}

/** Whether the lead is with a page that sleeps. */
export const isLedAsleep = (name: string): Promise<boolean> => isHeldAsleep(leader(name))

export interface Candidacy {
  /** Leads no more, or stands in line no more. */
  end(): void
}

/**
 * Stands in line for the lead. `elected` is called once the lock is this tab's, `deposed` when another tab took it by force. `byForce`: takes
 * it from whoever has it.
 */
export const stand = (name: string, byForce: boolean, events: { elected(): void; deposed(): void }): Candidacy => {
  const waiting = new AbortController()
  let end = (): void => waiting.abort()
  let isOver = false
  const options = byForce ? { steal: true } : { signal: waiting.signal }
  navigator.locks
    .request(leader(name), options, () => {
      if (isOver) return undefined
      const over = new Promise<void>((resolve) => {
        end = resolve
      })
      events.elected()
      return over
    })
    .catch(() => {
      if (!isOver) events.deposed()
    })
  return {
    end: () => {
      isOver = true
      end()
    },
  }
}
