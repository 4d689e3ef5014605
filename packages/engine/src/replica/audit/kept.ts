/**
 * What one log holds and another one of the same path does not. Logs only grow, but for an erasure, which writes one anew with everything it
 * held: so a copy that is older has nothing that is missing in the newer one.
 */
import { equalBytes, toHex } from '../../bytes/bytes.ts'
import { isRefusal } from '../../bytes/refusal.ts'
import type { Hash } from '../../commit/commit.ts'
import { idIn } from '../../commit/strip.ts'
import { frameKinds, scan } from '../../log/frame.ts'
import { PackedLogReader } from '../../log/packedlog.ts'
import { readEntry } from '../../trust/entry.ts'

/** Names of the commits, entries and certificates in a log, as far as it can be read. */
const namesIn = (log: Uint8Array, hash: Hash): Set<string> => {
  const names = new Set<string>()
  const packs = new PackedLogReader(hash)
  for (const frame of scan(log).frames) {
    const { kind, payload } = frame
    const read = packs.read(frame)
    for (const { id } of isRefusal(read) ? [] : read) names.add(`commit ${id}`)
    if (kind === frameKinds.commit) names.add(`commit ${idIn(payload, hash)}`)
    else if (kind === frameKinds.entry) {
      const entry = readEntry(payload, hash)
      if (!isRefusal(entry)) names.add(`entry ${entry.epoch}/${entry.n} ${entry.id}`)
    } else if (kind === frameKinds.certificate || kind === frameKinds.met)
      names.add(`certificate ${toHex(hash(payload))}`)
  }
  return names
}

/** What `before` holds and `now` does not, named. */
export const lostSince = (before: Uint8Array, now: Uint8Array, hash: Hash): string[] => {
  const present = namesIn(now, hash)
  return [...namesIn(before, hash)].filter((name) => !present.has(name))
}

/** The network that a root log founds; undefined when its first entry is not there. */
export const networkIn = (rootLog: Uint8Array, hash: Hash): string | undefined => {
  for (const { kind, payload } of scan(rootLog).frames) {
    const entry = kind === frameKinds.entry ? readEntry(payload, hash) : undefined
    if (entry !== undefined && !isRefusal(entry) && entry.statement.kind === 'genesis') return entry.id
  }
  return undefined
}

/** Whether two root logs begin with the same header, in which the bytes are that were drawn for their store: one is a copy of the other. */
export const isSameStore = (one: Uint8Array, other: Uint8Array): boolean => {
  const [first, second] = [one, other].map((log) => scan(log).frames[0])
  if (first?.kind !== frameKinds.header || second?.kind !== frameKinds.header) return false
  return equalBytes(first.payload, second.payload)
}
