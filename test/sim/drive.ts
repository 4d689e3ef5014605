/** Lets a world run beside a test that awaits its ports directly, as the contract suites do. */
import type { World } from './world.ts'

/** Runs events as they come; the returned function stops and rejects if an event failed. */
export const drive = (world: World): (() => Promise<void>) => {
  const state = { going: true }
  const driven = (async () => {
    while (state.going) await world.run(world.now + 1)
  })()
  driven.catch(() => undefined)
  return () => {
    state.going = false
    return driven
  }
}
