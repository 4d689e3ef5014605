/** Row A4: what was signed for one place counts nowhere else, whatever kind it is of and whichever key signed it. */
import { concatBytes, encodeUtf8, toHex } from '../../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../../packages/engine/src/bytes/refusal.ts'
import { signedBytes } from '../../../packages/engine/src/commit/commit.ts'
import { encodeEntry } from '../../../packages/engine/src/trust/entry.ts'
import { messageOf } from '../../../packages/engine/src/trust/signed.ts'
import { mustHold, type Row } from '../row.ts'
import { board, hash, type Person, Target } from '../target.ts'

type Kind = 'commit' | 'certificate' | 'entry' | 'proof'

/** A signed unit: its body, what its signature stands under, and the whole as it travels. */
interface Unit {
  readonly body: Uint8Array
  readonly signature: Uint8Array
  readonly with: (signature: Uint8Array) => Uint8Array
}

interface Context {
  readonly kind: Kind
  make(): Promise<Unit>
  /** Whether the replica takes it. */
  takes(bytes: Uint8Array): Promise<boolean>
}

const signedAs = (kind: Kind, body: Uint8Array): Uint8Array =>
  kind === 'commit' ? signedBytes(toHex(hash(body))) : messageOf(kind, body, hash)

const other = '/board/other'

const commitsOf = (target: Target, person: Person, path: string): Context => ({
  kind: 'commit',
  async make() {
    const { bytes } = await target.commit(person, { path })
    const outer = decode(bytes)
    if (isRefusal(outer)) throw new Error(outer.code)
    const [body, signature, changes] = outer as [Uint8Array, Uint8Array, Plain]
    return { body, signature, with: (changed) => encode([body, changed, changes]) }
  },
  async takes(bytes) {
    const before = target.held(path)
    await target.offer([bytes], [], { path })
    return target.held(path) > before
  },
})

const sealed = (body: Uint8Array, signature: Uint8Array): Unit => ({
  body,
  signature,
  with: (changed) => encode([body, changed]),
})

/** A4: every ordered pair of six contexts, one key signing in all of them, `trials` times with other bodies. */
export const replays: Row = async ({ trials: times, seed }) => {
  const target = await Target.open(seed)
  const stranger = await Target.open(`${seed} of another network`)
  let [trials, violations] = [0, 0]
  try {
    await target.repository(other).ready
    // One key for everything: nothing but what is signed tells the contexts apart.
    const person = await target.person({}, target.authority)
    const abroad: Person = { ...person, certificate: await stranger.certify(target.authority.publicKey) }
    const certified = [await target.offer([], [person.certificate]), await stranger.offer([], [abroad.certificate])]
    const entries: Context = {
      kind: 'entry',
      async make() {
        const { log } = target.repository().pipeline
        const body = encodeEntry({
          network: target.network,
          log: board,
          epoch: 0,
          n: log.next,
          prev: log.position?.hash ?? null,
          root: target.database.root.position,
          time: target.time,
          signer: toHex(hash(target.authority.publicKey)),
          statement: {
            kind: 'verdict',
            commit: toHex(target.draws.bytes(32)),
            key: null,
            code: 'c',
            rule: 'r',
            reason: 'w',
          },
        })
        return sealed(body, await target.authority.sign(signedAs('entry', body)))
      },
      async takes(bytes) {
        const before = target.repository().pipeline.log.next
        await target.offer([], [], { entries: [bytes] })
        return target.repository().pipeline.log.next > before
      },
    }
    const certificates: Context = {
      kind: 'certificate',
      async make() {
        const { body, signature } = await target.certify(target.authority.publicKey, {
          owner: `person:${toHex(target.draws.bytes(4))}`,
        })
        return sealed(body, signature)
      },
      takes: async (bytes) => !isRefusal(await target.database.certificates.admit(bytes)),
    }
    const contexts: readonly Context[] = [
      commitsOf(target, person, board),
      commitsOf(target, person, other),
      commitsOf(stranger, { ...abroad, session: abroad.certificate.session }, board),
      certificates,
      entries,
      {
        kind: 'proof',
        async make() {
          const body = encode([target.authority.publicKey, target.draws.bytes(32), target.draws.bytes(32), true])
          return sealed(body, await target.authority.sign(signedAs('proof', body)))
        },
        takes: async () => false,
      },
    ]
    for (let time = 0; time < times; time++) {
      for (const from of contexts) {
        for (const to of contexts) {
          if (from === to) continue
          const [unit, wanted] = [await from.make(), await to.make()]
          const offers = [unit.with(unit.signature), wanted.with(unit.signature)]
          // The key signed exactly this body, as something else.
          if (from.kind !== to.kind)
            offers.push(wanted.with(await target.authority.sign(signedAs(from.kind, wanted.body))))
          // And a body that only says it is the other kind.
          offers.push(
            encode([unit.body, await target.authority.sign(concatBytes(encodeUtf8('weft'), hash(unit.body)))]),
          )
          for (const bytes of offers) {
            trials++
            if (await to.takes(bytes)) violations++
          }
        }
      }
    }
    for (const context of contexts.slice(0, -1)) {
      const unit = await context.make()
      mustHold(await context.takes(unit.with(unit.signature)), `a right ${context.kind} is refused too`, violations)
    }
    mustHold(certified.flat().length === 0, 'the certificates are refused', violations)
  } finally {
    await target.close()
    await stranger.close()
  }
  return { trials, violations, pairs: 30 }
}
