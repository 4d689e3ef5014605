/** Rows A1, A2, A3 and A7: whose work it is, and that no other bytes pass for it. */

import { hash as digest } from 'node:crypto'
import { concatBytes } from '../../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../../packages/engine/src/bytes/refusal.ts'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import { mustHold, type Row } from '../row.ts'
import { spoilt } from '../spoil.ts'
import { hash, type Person, Target } from '../target.ts'

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = bytes.slice()
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

const chunk = 512

/** A1: every bit of `trials` commits and their signatures, turned over one at a time. */
export const flips: Row = async ({ trials: commits, seed }) => {
  const target = await Target.open(seed)
  let [trials, violations] = [0, 0]
  try {
    for (let made = 0; made < commits; made++) {
      const person = await target.person()
      const title = 'a title '.repeat(1 + target.draws.int(8))
      const commit = await target.commit(person, {
        drafts: [
          { operations: [{ kind: 'assign', field: 'title', value: title }] },
          { operations: [{ kind: 'add', field: 'tags', value: title }] },
        ],
      })
      const bits = commit.bytes.length * 8
      for (let from = 0; from < bits; from += chunk) {
        const many = Array.from({ length: Math.min(chunk, bits - from) }, (_, index) =>
          flipped(commit.bytes, from + index),
        )
        const before = target.held()
        await target.offer(many, [person.certificate])
        violations += target.held() - before
        trials += many.length
      }
      await target.offer([commit])
      mustHold(target.has(commit), 'the commit as it was made is refused too', violations)
    }
  } finally {
    await target.close()
  }
  return { trials, violations, commits }
}

/** A2: commits in the name of one person signed by another, and certificates that people sign for each other. */
export const authors: Row = async ({ trials, seed }) => {
  const target = await Target.open(seed)
  let violations = 0
  try {
    const people: Person[] = []
    for (let made = 0; made < 20; made++) people.push(await target.person())
    await target.offer(
      [],
      people.map(({ certificate }) => certificate),
    )
    const stranger = target.key()
    for (let trial = 0; trial < trials; ) {
      const author = target.draws.pick(people)
      const batch = []
      const certificates = []
      for (; batch.length < 64 && trial < trials; trial++) {
        const others = people.filter((one) => one !== author)
        const signer = target.draws.chance(0.2) ? stranger : target.draws.pick(others).key
        if (target.draws.chance(0.25)) {
          // A key of one's own for somebody else's account, vouched for by oneself.
          const key = target.key()
          const own = await target.certify(key.publicKey, { owner: author.certificate.owner }, key)
          certificates.push(own)
          batch.push(await target.commit({ key, certificate: own, session: own.session }))
        } else batch.push(await target.commit(author, { signer }))
      }
      const before = target.held()
      await target.offer(batch, certificates)
      violations += target.held() - before
    }
    const right = await target.commit(target.draws.pick(people))
    await target.offer([right])
    mustHold(target.has(right), 'a commit of its author is refused too', violations)
  } finally {
    await target.close()
  }
  return { trials, violations }
}

/** The parts of a commit, and what a changed part makes of it. */
const partsOf = (commit: Commit) => {
  const outer = decode(commit.bytes)
  if (isRefusal(outer) || !Array.isArray(outer)) throw new Error('a commit that cannot be read')
  const [header, signature, changes] = outer as [Uint8Array, Uint8Array, [Uint8Array, Uint8Array, Uint8Array][]]
  return { header, signature, changes }
}

const must = (bytes: Uint8Array): Plain => {
  const plain = decode(bytes)
  if (isRefusal(plain)) throw new Error(plain.code)
  return plain
}

/** Every field of every part of a commit changed in every way of `spoilt`, under the signature it had. */
function* respelt(commit: Commit): Generator<Uint8Array> {
  const { header, signature, changes } = partsOf(commit)
  for (const changed of spoilt(must(header))) yield encode([encode(changed), signature, changes])
  for (const [index, change] of changes.entries()) {
    for (const [place, part] of change.entries()) {
      for (const changed of spoilt(must(part))) {
        const parts = changes.map((one) => [...one])
        parts[index] = change.map((one, at) => (at === place ? encode(changed) : one))
        yield encode([header, signature, parts])
        // The header names what is there now; nobody signed that header.
        const fields = [...(must(header) as readonly Plain[])]
        fields[10] = parts.map((three) => hash(concatBytes(...three.map((one) => hash(one)))))
        yield encode([encode(fields), signature, parts])
      }
    }
    // Without its content, as after an erasure that nobody signed.
    const bare = changes.map((one, at): Plain[] => (at === index ? [one[0], one[1], [hash(one[2])]] : [...one]))
    yield encode([header, signature, bare])
  }
  for (const changed of spoilt([header, signature, changes])) yield encode(changed)
}

/** A3: each decoded field of `trials` commits changed and encoded anew. */
export const fields: Row = async ({ trials: commits, seed }) => {
  const target = await Target.open(seed)
  let [trials, violations] = [0, 0]
  try {
    for (let made = 0; made < commits; made++) {
      const person = await target.person()
      const first = await target.commit(person, {
        draft: { operations: [{ kind: 'add', field: 'tags', value: 'tag' }] },
      })
      await target.offer([first], [person.certificate])
      mustHold(target.has(first), 'the first commit is refused', violations)
      const key = first.changes[0]?.key ?? ''
      const commit = await target.commit(person, {
        after: first,
        drafts: [
          {
            key,
            parents: [first.id],
            operations: [
              { kind: 'remove', field: 'tags', tags: [`${first.id}:0`] },
              { kind: 'assign', field: 'points', value: target.draws.int(1_000) },
            ],
          },
          {
            operations: [
              { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 5, insert: 'hello' },
              { kind: 'put', field: 'votes', entry: ['ada', 3] },
              { kind: 'touch' },
            ],
          },
        ],
      })
      let batch: Uint8Array[] = []
      const flush = async (): Promise<void> => {
        const before = target.held()
        await target.offer(batch)
        violations += target.held() - before
        trials += batch.length
        batch = []
      }
      const own = Buffer.from(commit.bytes)
      for (const bytes of respelt(commit)) {
        if (own.equals(bytes)) continue
        batch.push(bytes)
        if (batch.length === chunk) await flush()
      }
      await flush()
      await target.offer([commit])
      mustHold(target.has(commit), 'the commit as it was made is refused too', violations)
    }
  } finally {
    await target.close()
  }
  return { trials, violations, commits }
}

const prefixBytes = 5

/** Two commits whose ids begin with the same 40 bits, by trying incarnations until two meet: about 2^20 hashes. */
const colliding = async (target: Target, person: Person): Promise<readonly [Commit, Commit, number]> => {
  const tail = '55667788'
  const draft = { key: 'collision', salt: target.draws.bytes(12) }
  const make = (number: number) =>
    target.commit(person, { header: { incarnation: number.toString(16).padStart(8, '0') + tail }, draft })
  const header = Buffer.from(partsOf(await make(0)).header)
  const mark = header.indexOf(Buffer.from(`00000000${tail}`, 'hex'))
  if (mark < 0) throw new Error('the incarnation is not in the header')
  const seen = new Map<number, number>()
  for (let tried = 0; ; tried++) {
    header.writeUInt32BE(tried, mark)
    const prefix = digest('sha256', header, 'buffer').readUIntBE(0, prefixBytes)
    const met = seen.get(prefix)
    if (met !== undefined) return [await make(met), await make(tried), tried]
    seen.set(prefix, tried)
  }
}

/** A7: pairs of commits whose ids share their first 40 bits: both are stored, and both items are there. */
export const collisions: Row = async ({ trials, seed }) => {
  const target = await Target.open(seed)
  let [violations, hashes] = [0, 0]
  try {
    for (let trial = 0; trial < trials; trial++) {
      const person = await target.person()
      const [one, two, tried] = await colliding(target, person)
      hashes += tried
      const [a, b] = [one, two].map((commit) => Buffer.from(hash(partsOf(commit).header)).readUIntBE(0, prefixBytes))
      mustHold(a === b, 'the ids do not collide', violations)
      const before = target.held()
      await target.offer([one, two], [person.certificate])
      if (one.id === two.id || target.held() !== before + 2 || !target.has(one) || !target.has(two)) violations++
    }
  } finally {
    await target.close()
  }
  return { trials, violations, bits: prefixBytes * 8, hashes }
}
