/** A new epoch of the root log: who may begin it, what it leaves out, and what of that is taken away again. */
import { nodeRuntime } from '@weft-db/runtime/node'
import { expect, test } from 'vitest'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import type { SigningKey } from '../../packages/engine/src/replica/ports.ts'
import { RootLog } from '../../packages/engine/src/replica/rootlog.ts'
import { type Entry, encodeEntry, noNetwork, readEntry, type Statement } from '../../packages/engine/src/trust/entry.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'

const runtime = nodeRuntime()
const { hash } = runtime
const idOf = ({ publicKey }: SigningKey): string => toHex(hash(publicKey))

/** An entry that stands behind `before`, or in the place of what stood behind it. */
const signed = async (before: Entry | undefined, statement: Statement, key: SigningKey, epoch = before?.epoch ?? 0) => {
  const body = encodeEntry({
    network: before === undefined ? noNetwork : before.n === 0 ? before.id : before.network,
    log: '/sys',
    epoch,
    n: (before?.n ?? -1) + 1,
    prev: before?.id ?? null,
    root: null,
    time: 5,
    signer: idOf(key),
    statement,
  })
  const entry = readEntry(sealBody(body, await key.sign(messageOf('entry', body, hash)), hash).bytes, hash)
  if (isRefusal(entry)) throw new Error(entry.code)
  return entry
}

const lost: Statement = { kind: 'epoch', lost: null, reason: '' }
const ended = (owner: string): Statement => ({ kind: 'revocation', subject: { owner }, reason: '' })

const logOf = (...entries: Entry[]): RootLog => {
  const log = new RootLog(runtime)
  for (const entry of entries) log.append(entry)
  return log
}

const scene = async () => {
  const [first, second] = [await runtime.generateKey(), await runtime.generateKey()]
  const genesis = await signed(
    undefined,
    { kind: 'genesis', publicKey: first.publicKey, name: new Uint8Array(16) },
    first,
  )
  const kept = await signed(genesis, { kind: 'rules', version: 1 }, first)
  const adam = await signed(kept, ended('adam'), first)
  const added = await signed(adam, { kind: 'key', publicKey: second.publicKey }, first)
  const retired = await signed(added, { kind: 'retirement', signer: idOf(first) }, second)
  return { first, second, genesis, kept, adam, added, retired }
}

test('[R10] what a new epoch leaves out is forgotten, and what it ended can be ended again', async () => {
  const { first, genesis, kept, adam } = await scene()
  const rules = await signed(adam, { kind: 'rules', version: 2 }, first)
  const log = logOf(genesis, kept, adam, rules)
  const begun = await signed(kept, lost, first, 1_700_000_000)
  expect(await log.check(begun.bytes)).toMatchObject({ id: begun.id })
  log.append(begun)
  expect([log.hasEnded({ owner: 'adam' }), log.rulesAt(9), log.lastEnd, log.size]).toEqual([false, 1, -1, 3])
  expect(log.dropped.map(({ id }) => id)).toEqual([adam.id, rules.id])
  // A commit that names what was left out is judged by what is left.
  const position = { epoch: 0, n: 3, hash: rules.id }
  expect([log.knows(position), log.holds(position), log.cited(position)]).toEqual([true, false, 1])
  // Whoever holds more of the old epoch is shown the new one.
  expect([log.lackedBy(9).length, log.lackedBy(0).length]).toEqual([1, 3])
  expect(await log.takenAway(adam.bytes)).toEqual(ended('adam'))
  expect(await log.takenAway(rules.bytes)).toBe(undefined)
  log.append(await signed(begun, ended('adam'), first))
  expect(await log.takenAway(adam.bytes)).toBe(undefined)
})

test('[R10] a key that was retired takes nobody back to before its retirement, and puts nobody out', async () => {
  const { first, second, genesis, kept, adam, added, retired } = await scene()
  const log = logOf(genesis, kept, adam, added, retired)
  // With the stolen first key, behind an entry from when it was in force.
  const stolen = await signed(kept, lost, first, 1_700_000_000)
  expect(await log.check(stolen.bytes)).toMatchObject({ code: 'BadEntry' })
  // With the second one before it was added: nobody who never heard of it could follow.
  expect(await log.check((await signed(kept, lost, second, 1_700_000_000)).bytes)).toMatchObject({ code: 'BadEntry' })
  const begun = await signed(added, lost, second, 1_700_000_000)
  expect(await log.check(begun.bytes)).toMatchObject({ id: begun.id })
  log.append(begun)
  expect(await log.takenAway(retired.bytes)).toEqual({ kind: 'retirement', signer: idOf(first) })
  log.append(await signed(begun, { kind: 'retirement', signer: idOf(first) }, second))
  expect(await log.takenAway(retired.bytes)).toBe(undefined)
  // As if it had been left out.
  expect(await log.takenAway((await signed(added, ended('eve'), first)).bytes)).toBe(undefined)
  const forged = await signed(added, ended('eve'), second)
  const bytes = forged.bytes.slice()
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  expect(await log.takenAway(forged.bytes)).toEqual(ended('eve'))
  expect(await log.takenAway(bytes)).toMatchObject({ code: 'BadSignature' })
})
