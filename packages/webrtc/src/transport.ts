/** The `PeerTransport` over WebRTC, whoever brings it: a browser, or a package for Node. */
import type { Attempt, PeerTransport, Runtime } from '@weft-db/engine'
import { PeerAttempt } from './attempt.ts'
import { browserLeaving, type Leaving } from './leaving.ts'
import { layBySimplePeer, type Platform } from './simple-peer.ts'

export interface WebrtcOptions {
  /** Milliseconds from the beginning of an attempt to an open channel; 10,000. */
  readonly patience?: number
  /** Milliseconds after which a channel whose way was lost closes; 2,000. */
  readonly grace?: number
  /** `setTimeout` by default. */
  readonly timer?: Runtime['timer']
  /** When the page goes away; the browser's by default. */
  readonly leaving?: Leaving
  /** A listener threw; `console.error` by default. */
  readonly onError?: (error: unknown) => void
}

const systemTimer: Runtime['timer'] = (ms, run) => {
  const timeout = setTimeout(run, ms)
  return () => clearTimeout(timeout)
}

/** Without a platform every attempt fails as `unsupported`. */
export const peerTransport = (platform: Platform | undefined, options: WebrtcOptions = {}): PeerTransport => {
  const timer = options.timer ?? systemTimer
  const report = options.onError ?? ((error: unknown) => console.error(error))
  const leaving = options.leaving ?? browserLeaving
  const lay = platform && layBySimplePeer(platform, timer)
  const live = new Set<PeerAttempt>()
  let idle: (() => void)[] = []
  let unheard: (() => void) | undefined

  const over = (attempt: PeerAttempt): void => {
    live.delete(attempt)
    if (live.size > 0) return
    unheard?.()
    unheard = undefined
    for (const resolve of idle) resolve()
    idle = []
  }

  return {
    attempt(asked, listener): Attempt {
      unheard ??= leaving((reason) => {
        for (const attempt of [...live]) attempt.drop(reason)
      })
      const attempt: PeerAttempt = new PeerAttempt(asked, listener, {
        lay,
        timer,
        report,
        patience: options.patience ?? 10_000,
        grace: options.grace ?? 2_000,
        over: () => over(attempt),
      })
      live.add(attempt)
      return attempt
    },

    async stop() {
      if (live.size === 0) return
      const ended = new Promise<void>((resolve) => void idle.push(resolve))
      for (const attempt of [...live]) attempt.stop('stopped')
      await ended
    },
  }
}
