/** A journal in a page, filled for as long as the page lives. */
import { type Files, WeftError } from '@weft-db/engine'
import { indexedDbFiles } from '@weft-db/storage/indexeddb'
// The engine keeps it to itself; a replica is built on it.
import { Journal } from '../../../packages/engine/src/replica/journal.ts'

const inFlight = 8

/** What append `index` stores: its number, then bytes that follow from it. */
const payloadOf = (index: number): Uint8Array => {
  const bytes = new Uint8Array(4 + ((index * 2_654_435_761) % 9_973)).map((_, at) => index * 31 + at * 7)
  new DataView(bytes.buffer).setUint32(0, index, true)
  return bytes
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, at) => byte === other[at])

export interface Found {
  readonly header: readonly number[]
  /** How many appends are there, each as it was made and in order; -1 when one is not. */
  readonly whole: number
  readonly damage: number
  readonly incidents: readonly string[]
}

/**
 * Opens the journal, over IndexedDB unless told, and says what it holds; `go` then appends until an append is rejected, and tells
 * `acknowledged` what resolved. It resolves with the code of the rejection.
 */
export const openJournal = async (
  name: string,
  filesOf: (name: string) => Files | Promise<Files> = indexedDbFiles,
): Promise<{
  found: Found
  go: (acknowledged: (index: number) => unknown) => Promise<string>
  close: () => Promise<void>
}> => {
  const files = await filesOf(name)
  const release = await files.lock()
  const incidents: string[] = []
  const opened = await Journal.open(files, 'log.0', {
    header: Uint8Array.of(1, 2, 3),
    onIncident: ({ code, about }) => void incidents.push(`${code} ${about}`),
  })
  const { journal, frames } = opened
  const intact = frames.every(({ kind, payload }, index) => kind === 1 && isSame(payload, payloadOf(index)))
  const found = {
    header: [...(opened.header ?? [])],
    whole: intact ? frames.length : -1,
    damage: opened.damage.length,
    incidents,
  }
  let next = frames.length
  const go = async (acknowledged: (index: number) => unknown): Promise<string> => {
    let failed = false
    const lines = Array.from({ length: inFlight }, async () => {
      while (!failed) {
        const index = next++
        await journal.append([{ kind: 1, payload: payloadOf(index) }])
        await acknowledged(index)
      }
    })
    const outcome: unknown = await Promise.all(lines).catch((error: unknown) => error)
    failed = true
    return outcome instanceof WeftError ? outcome.code : String(outcome)
  }
  const close = async (): Promise<void> => {
    await journal.close()
    await release()
  }
  return { found, go, close }
}
