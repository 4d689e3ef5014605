import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalBytes, toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import {
  type Commit,
  composeCommit,
  type Draft,
  type Hash,
  type Header,
  readCommit,
  sealCommit,
  signedBytes,
  sizeOf,
} from './commit.ts'
import { type Operation, tagOf } from './operation.ts'

const hash: Hash = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())
const runs = { seed: 11, numRuns: 300 }

const hex = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(toHex)
const count = fc.oneof(fc.nat(40), fc.integer({ min: 0, max: 0xffff_ffff }))
const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 90 }))
const named = text.filter((name) => name !== '' && name.length < 60)
const value = fc.oneof(
  text,
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
  fc.boolean(),
  fc.constant(null),
)
const tags = fc.array(
  fc.tuple(hex(32), fc.nat(limits.operations - 1)).map(([id, index]) => tagOf(id, index)),
  { minLength: 1, maxLength: 3 },
)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('assign' as const), field: named, value }),
  fc.record({ kind: fc.constant('add' as const), field: named, value }),
  fc.record({ kind: fc.constant('remove' as const), field: named, tags }),
  fc.record({
    kind: fc.constant('put' as const),
    field: named,
    entry: fc.tuple(
      text.filter((key) => key.length < 60),
      value,
    ),
  }),
  fc.record({ kind: fc.constant('drop' as const), field: named, tags }),
  fc
    .record({ field: named, at: count, remove: count, insert: text })
    .filter(({ remove, insert }) => remove + insert.length > 0)
    .map((splice) => ({ kind: 'splice' as const, ...splice, length: splice.insert.length })),
  fc.constant({ kind: 'touch' as const }),
  fc.constant({ kind: 'delete' as const }),
)

const position = fc.record({ epoch: count, n: count, hash: hex(32) })

const header: fc.Arbitrary<Header> = fc
  .record({
    network: hex(32),
    repository: named,
    session: hex(32),
    incarnation: hex(8),
    seq: count,
    prev: hex(32),
    clock: fc.maxSafeNat(),
    policy: fc.record({ root: position, authority: fc.option(position) }),
    atomic: fc.boolean(),
    extended: fc.constant(false),
  })
  .map((fields) => ({ ...fields, prev: fields.seq === 0 ? null : fields.prev }))

const draft: fc.Arbitrary<Draft> = fc.record({
  key: named,
  parents: fc.uniqueArray(hex(32), { maxLength: limits.parents }).map((parents) => parents.sort()),
  schema: fc.record({ name: named, version: count, hash: hex(32) }),
  operations: fc.array(operation, { maxLength: 8 }),
  salt: fc.uint8Array({ minLength: 12, maxLength: 12 }),
})

const drafts = fc.uniqueArray(draft, { minLength: 1, maxLength: 4, selector: ({ key }) => key })
const signature = fc.uint8Array({ minLength: 64, maxLength: 64 })

const sealed = (fields: Header, changes: readonly Draft[], signed: Uint8Array = new Uint8Array(64).fill(3)): Commit =>
  sealCommit(composeCommit(fields, changes, hash), signed)

const sampled = <Value>(arbitrary: fc.Arbitrary<Value>, numRuns: number): Value[] =>
  fc.sample(arbitrary, { seed: 12, numRuns })
const [someHeader, someDraft] = [sampled(header, 1)[0], sampled(draft, 1)[0]]
if (someHeader === undefined || someDraft === undefined) throw new Error('no sample')
const plainDraft: Draft = { ...someDraft, parents: [], operations: [{ kind: 'assign', field: 'title', value: 'x' }] }

const listOf = (plain: Plain | undefined): Plain[] => {
  if (!Array.isArray(plain)) throw new Error('not a list')
  return [...plain]
}
const bytesOf = (plain: Plain | undefined): Uint8Array => {
  if (!(plain instanceof Uint8Array)) throw new Error('not bytes')
  return plain
}
const plainOf = (bytes: Uint8Array): Plain => {
  const plain = decode(bytes)
  if (isRefusal(plain)) throw new Error(plain.code)
  return plain
}
const partsOf = (commit: Commit) => {
  const [head, signed, list] = listOf(plainOf(commit.bytes))
  return { header: bytesOf(head), signature: bytesOf(signed), changes: listOf(list).map(listOf) }
}

/** A commit around parts that nobody would compose: the hashes in its header are right again. */
const rehashed = (parts: { header: Uint8Array; signature: Uint8Array; changes: Plain[][] }): Uint8Array => {
  const fields = listOf(plainOf(parts.header))
  fields[10] = parts.changes.map(([identity, ops, content]) => {
    const last = content instanceof Uint8Array ? hash(content) : bytesOf(listOf(content)[0])
    return hash(new Uint8Array([...hash(bytesOf(identity)), ...hash(bytesOf(ops)), ...last]))
  })
  return encode([encode(fields), parts.signature, parts.changes])
}
const codeOf = (bytes: Uint8Array) => {
  const read = readCommit(bytes, hash)
  return isRefusal(read) ? read.code : 'read'
}
const withOps = (ops: Plain, values: Plain = []): Uint8Array => {
  const { changes, ...rest } = partsOf(sealed(someHeader, [plainDraft]))
  const identity = bytesOf(changes[0]?.[0])
  return rehashed({ ...rest, changes: [[identity, encode(ops), encode([new Uint8Array(12), values])]] })
}
const erase = (commit: Commit, which: (index: number) => boolean = () => true): Uint8Array => {
  const { header: head, signature: signed, changes } = partsOf(commit)
  const list = changes.map(
    ([identity, ops, content], index): Plain => [
      bytesOf(identity),
      bytesOf(ops),
      which(index) ? [hash(bytesOf(content))] : bytesOf(content),
    ],
  )
  return encode([head, signed, list])
}

describe('a commit', () => {
  test('is read as it was made', () => {
    fc.assert(
      fc.property(header, drafts, signature, (fields, changes, signed) => {
        const made = sealed(fields, changes, signed)
        expect(readCommit(made.bytes, hash)).toEqual(made)
      }),
      runs,
    )
  })

  test('whose bytes are read is the one that is composed from what was read', () => {
    fc.assert(
      fc.property(header, drafts, (fields, changes) => {
        const made = sealed(fields, changes)
        const read = readCommit(made.bytes, hash)
        if (isRefusal(read)) throw new Error(read.code)
        const again = read.changes.map((change, index) => ({
          ...change,
          salt: changes[index]?.salt ?? new Uint8Array(0),
        }))
        expect(equalBytes(sealed(read, again, read.signature).bytes, made.bytes)).toBe(true)
      }),
      runs,
    )
  })

  test('with any bit of it flipped is refused, has another id or another signature', () => {
    for (const [fields, changes] of sampled(
      fc.tuple(header, fc.uniqueArray(draft, { minLength: 1, maxLength: 1 })),
      20,
    )) {
      const made = sealed(fields, changes)
      for (let bit = 0; bit < 8 * made.bytes.length; bit++) {
        const flipped = made.bytes.slice()
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const read = readCommit(flipped, hash)
        if (!isRefusal(read) && read.id === made.id && equalBytes(read.signature, made.signature)) {
          throw new Error(`bit ${bit} of ${toHex(made.bytes)} makes no difference`)
        }
      }
    }
  }, 30_000)

  test('with any field of its header replaced is refused or has another id', () => {
    const others: Plain[] = [
      null,
      true,
      -1,
      0,
      1,
      0.5,
      2 ** 32,
      2 ** 60,
      '',
      'x',
      new Uint8Array(32),
      new Uint8Array(8),
      [],
      [[0, 0, new Uint8Array(32)], null],
      new Map(),
      new Map([['a', 1]]),
    ]
    const made = sealed({ ...someHeader, seq: 3, prev: 'ab'.repeat(32) }, [plainDraft])
    const { header: head, signature: signed, changes } = partsOf(made)
    const fields = listOf(plainOf(head))
    expect(fields.length).toBe(12)
    let accepted = 0
    for (const at of fields.keys()) {
      for (const other of others) {
        const bytes = encode([encode(fields.with(at, other)), signed, changes])
        if (equalBytes(bytes, made.bytes)) continue
        const read = readCommit(bytes, hash)
        if (isRefusal(read)) continue
        accepted++
        expect(read.id, `field ${at}`).not.toBe(made.id)
        expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 11], `field ${at}`).toContain(at)
      }
    }
    expect(accepted).toBeGreaterThan(8)
    expect(codeOf(encode([encode(fields.slice(0, -1)), signed, changes]))).toBe('Malformed')
    expect(codeOf(encode([encode([...fields, 0]), signed, changes]))).toBe('Malformed')
    expect(codeOf(encode([encode(fields.with(0, 2)), signed, changes]))).toBe('UnknownFormat')
  })

  test('[A2] is never a reason to throw', () => {
    const commits = sampled(fc.tuple(header, drafts), 20).map(([fields, changes]) => sealed(fields, changes))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(), fc.nat(), fc.nat(), (noise, which, from, length) => {
        expect(() => readCommit(noise, hash)).not.toThrow()
        const commit = commits[which % commits.length]
        if (commit === undefined) return
        const torn = commit.bytes.slice()
        torn.set(noise.subarray(0, length % 9).subarray(0, torn.length), from % Math.max(1, torn.length - 9))
        expect(() => readCommit(torn, hash)).not.toThrow()
        expect(isRefusal(readCommit(commit.bytes.subarray(0, from % commit.bytes.length), hash))).toBe(true)
      }),
      { seed: 13, numRuns: 2000 },
    )
  })

  test('whose parts were made by somebody else is never a reason to throw', () => {
    const plain = fc.letrec<{ plain: Plain }>((tie) => ({
      plain: fc.oneof(
        { depthSize: 'small' },
        value,
        fc.uint8Array({ maxLength: 34 }),
        fc.constantFrom<Plain>(new Uint8Array(32), 6, 7, '', 2 ** 53, 1e300, 2 ** 40),
        fc.array(tie('plain'), { maxLength: 6 }),
      ),
    })).plain
    const op = fc.oneof(
      plain,
      fc.tuple(fc.constantFrom('f', ''), fc.nat(8)),
      fc.tuple(fc.constantFrom('f', ''), fc.nat(8), plain, plain, plain),
    )
    fc.assert(
      fc.property(fc.oneof(plain, fc.array(op, { maxLength: 4 })), plain, (ops, values) => {
        const bytes = withOps(ops, values)
        expect(['read', 'Malformed', 'TooLarge', 'TooMany']).toContain(codeOf(bytes))
        const read = readCommit(bytes, hash)
        if (isRefusal(read)) return
        const [change] = read.changes
        if (change === undefined) throw new Error('no change')
        const made = sealed(someHeader, [{ ...plainDraft, operations: change.operations, salt: new Uint8Array(12) }])
        expect(equalBytes(made.bytes, bytes)).toBe(true)
      }),
      { seed: 14, numRuns: 2000 },
    )
  })

  test('signs its kind and its id', () => {
    const { id } = sealed(someHeader, [plainDraft])
    expect(toHex(signedBytes(id))).toBe(`${toHex(Uint8Array.from('weft/commit/1\0', (c) => c.charCodeAt(0)))}${id}`)
  })

  test('keeps what its ext holds, and says that it does not know it', () => {
    const { header: head, signature: signed, changes } = partsOf(sealed(someHeader, [plainDraft]))
    const bytes = encode([encode(listOf(plainOf(head)).with(11, new Map([['later', 1]]))), signed, changes])
    const read = readCommit(bytes, hash)
    expect(isRefusal(read) ? read : [read.extended, read.bytes]).toEqual([true, bytes])
  })
})

describe('what is not composed', () => {
  test.each<[string, Partial<Header>, readonly Partial<Draft>[]]>([
    ['an empty key', {}, [{ key: '' }]],
    ['a long key', {}, [{ key: 'ä'.repeat(129) }]],
    ['parents that do not ascend', {}, [{ parents: ['b'.repeat(64), 'a'.repeat(64)] }]],
    ['a parent twice', {}, [{ parents: ['a'.repeat(64), 'a'.repeat(64)] }]],
    ['seventeen parents', {}, [{ parents: Array.from({ length: 17 }, (_, n) => n.toString(16).padStart(64, '0')) }]],
    ['no change', {}, []],
    ['two changes of one item', {}, [{}, {}]],
    ['a long map key', {}, [{ operations: [{ kind: 'put', field: 'f', entry: ['k'.repeat(257), 1] }] }]],
    [
      'a splice that says another length',
      {},
      [{ operations: [{ kind: 'splice', field: 'f', at: 0, remove: 0, length: 2, insert: 'x' }] }],
    ],
    [
      'an empty splice',
      {},
      [{ operations: [{ kind: 'splice', field: 'f', at: 0, remove: 0, length: 0, insert: '' }] }],
    ],
    ['half a surrogate pair', {}, [{ operations: [{ kind: 'assign', field: 'f', value: '\ud800' }] }]],
    ['a removal of nothing', {}, [{ operations: [{ kind: 'remove', field: 'f', tags: [] }] }]],
    ['a short salt', {}, [{ salt: new Uint8Array(11) }]],
    ['a clock that is no number', { clock: Number.NaN }, [{}]],
    ['a first commit after another', { seq: 0, prev: 'a'.repeat(64) }, [{}]],
  ])('%s', (_, fields, changes) => {
    expect(() =>
      composeCommit(
        { ...someHeader, ...fields },
        changes.map((one) => ({ ...plainDraft, ...one })),
        hash,
      ),
    ).toThrow(TypeError)
  })
})

describe('[A1] limits', () => {
  const drafted = (length: number, operations: readonly Operation[] = []) =>
    Array.from({ length }, (_, index) => ({ ...plainDraft, key: `k${index}`, operations }))

  test('a thousand changes, and not one more', () => {
    expect(codeOf(sealed(someHeader, drafted(limits.changes)).bytes)).toBe('read')
    expect(() => sealed(someHeader, drafted(limits.changes + 1))).toThrow('TooMany')
    const { changes, ...rest } = partsOf(sealed(someHeader, drafted(limits.changes)))
    expect(codeOf(rehashed({ ...rest, changes: [...changes, changes[0] ?? []] }))).toBe('TooMany')
  })

  test('sixteen parents, and not one more', () => {
    const parents = Array.from({ length: 17 }, (_, n) => new Uint8Array(32).fill(n))
    const schema: Plain = ['s', 1, new Uint8Array(32)]
    const { changes, ...rest } = partsOf(sealed(someHeader, [plainDraft]))
    const of = (list: Plain) =>
      rehashed({ ...rest, changes: [[encode(['k', list, schema]), ...(changes[0] ?? []).slice(1)]] })
    expect(codeOf(of(parents.slice(0, 16)))).toBe('read')
    expect(codeOf(of(parents))).toBe('BadParents')
    expect(codeOf(of(parents.slice(0, 2).reverse()))).toBe('BadParents')
    expect(codeOf(of([parents[0] ?? 0, parents[0] ?? 0]))).toBe('BadParents')
    expect(codeOf(of([new Uint8Array(31)]))).toBe('Malformed')
  })

  test('16,384 operations, and not one more', () => {
    const touches = (length: number) => Array.from({ length }, (): Plain => ['', 6])
    expect(codeOf(withOps(touches(limits.operations)))).toBe('read')
    expect(codeOf(withOps(touches(limits.operations + 1)))).toBe('TooMany')
  })

  test('256 KiB of header and changes, and not one byte more', () => {
    const one = (length: number) =>
      composeCommit(
        someHeader,
        [{ ...plainDraft, operations: [{ kind: 'assign', field: 'f', value: 'x'.repeat(length) }] }],
        hash,
      )
    const spare = limits.commitBytes - sizeOf(one(200_000))
    const full = one(200_000 + spare)
    expect(sizeOf(full)).toBe(limits.commitBytes)
    const signed = new Uint8Array(64)
    expect(codeOf(sealCommit(full, signed).bytes)).toBe('read')
    const over = one(200_001 + spare)
    expect(codeOf(sealCommit(over, signed).bytes)).toBe('TooLarge')
    expect(codeOf(new Uint8Array(limits.commitBytes * 2))).toBe('TooLarge')
  })

  test('keys of 256 bytes, not empty, each once', () => {
    const { changes, ...rest } = partsOf(sealed(someHeader, [plainDraft]))
    const keyed = (...keys: Plain[]) =>
      rehashed({
        ...rest,
        changes: keys.map((key) => [encode([key, [], ['s', 1, new Uint8Array(32)]]), ...(changes[0] ?? []).slice(1)]),
      })
    expect(codeOf(keyed('ä'.repeat(128)))).toBe('read')
    expect(codeOf(keyed('ä'.repeat(128).concat('a')))).toBe('Malformed')
    expect(codeOf(keyed(''))).toBe('Malformed')
    expect(codeOf(keyed(1))).toBe('Malformed')
    expect(codeOf(keyed('a', 'b'))).toBe('read')
    expect(codeOf(keyed('a', 'a'))).toBe('Malformed')
  })

  test('operations whose erased content would be larger than a commit', () => {
    const splice = (length: number): Operation[] => [
      { kind: 'splice', field: 'f', at: 0, remove: 0, length, insert: 'x'.repeat(length) },
    ]
    const commit = sealed(someHeader, [{ ...plainDraft, operations: splice(9) }])
    const { changes, ...rest } = partsOf(commit)
    const claiming = (...lengths: number[]) =>
      rehashed({
        ...rest,
        changes: lengths.map((length, index) => [
          encode([`k${index}`, [], ['s', 1, new Uint8Array(32)]]),
          encode([['f', 5, 0, 0, length]]),
          [new Uint8Array(32)],
        ]),
      })
    expect(codeOf(claiming(200_000))).toBe('read')
    expect(codeOf(claiming(2 ** 30))).toBe('TooLarge')
    expect(codeOf(claiming(2 ** 32))).toBe('Malformed')
    expect(codeOf(claiming(200_000, 200_000))).toBe('TooLarge')
    expect(changes.length).toBe(1)
  })

  test.each<[string, Plain]>([
    ['a position beyond 32 bits', [['f', 5, 2 ** 32, 1, 0]]],
    ['a position that is not whole', [['f', 5, 0.5, 1, 0]]],
    ['a negative position', [['f', 5, -1, 1, 0]]],
    ['a removal beyond all texts', [['f', 5, 0, 2 ** 53, 0]]],
    ['an empty splice', [['f', 5, 0, 0, 0]]],
    ['no tags', [['f', 2, []]]],
    ['a tag of a short id', [['f', 2, [[new Uint8Array(31), 0]]]]],
    ['a tag of an operation that cannot be', [['f', 4, [[new Uint8Array(32), limits.operations]]]]],
    ['a code that is not known', [['f', 8]]],
    ['a field where none belongs', [['f', 6]]],
    ['no field where one belongs', [['', 2, [[new Uint8Array(32), 0]]]]],
    ['a long field', [['f'.repeat(65), 2, [[new Uint8Array(32), 0]]]]],
    ['an argument too many', [['', 6, 0]]],
    ['an argument too few', [['f', 5, 0, 1]]],
    ['no list', 'touch'],
    ['an operation that is no list', [6]],
  ])('an operation with %s', (_, ops) => {
    expect(codeOf(withOps(ops))).toBe('Malformed')
  })

  test.each<[string, Plain, Plain]>([
    ['missing', [['f', 0]], []],
    ['left over', [['', 6]], [1]],
    ['no scalar', [['f', 1]], [[1]]],
    ['text of another length', [['f', 5, 0, 0, 2]], ['x']],
    ['a key without a value', [['f', 3]], [['k']]],
    ['no list', [['', 6]], null],
  ])('content that is %s', (_, ops, values) => {
    expect(codeOf(withOps(ops, values))).toBe('Malformed')
  })
})

describe('erased content', () => {
  test('leaves id and signature as they are, and the operations without what was written', () => {
    fc.assert(
      fc.property(header, drafts, fc.nat(3), (fields, changes, last) => {
        const made = sealed(fields, changes)
        const read = readCommit(
          erase(made, (index) => index <= last),
          hash,
        )
        if (isRefusal(read)) throw new Error(read.code)
        expect([read.id, toHex(read.signature)]).toEqual([made.id, toHex(made.signature)])
        for (const [index, change] of read.changes.entries()) {
          const whole = made.changes[index]
          expect(change.erased).toBe(index <= last)
          if (!change.erased) expect(change).toEqual(whole)
          else {
            for (const [at, operation] of change.operations.entries()) {
              const was = whole?.operations[at]
              if (operation.kind === 'assign' || operation.kind === 'add') expect(operation.value).toBe(undefined)
              else if (operation.kind === 'put') expect(operation.entry).toBe(undefined)
              else if (operation.kind === 'splice' && operation.length > 0)
                expect({ ...operation, insert: '' }).toEqual({ ...was, insert: '' })
              else expect(operation).toEqual(was)
            }
          }
        }
      }),
      runs,
    )
  })

  test('[A2] with another hash is refused', () => {
    const { header: head, signature: signed, changes } = partsOf(sealed(someHeader, [plainDraft]))
    const [identity, ops] = changes[0] ?? []
    expect(codeOf(encode([head, signed, [[bytesOf(identity), bytesOf(ops), [new Uint8Array(32)]]]]))).toBe('BadHash')
    expect(codeOf(encode([head, signed, [[bytesOf(identity), bytesOf(ops), []]]]))).toBe('Malformed')
    expect(codeOf(encode([head, signed, []]))).toBe('Malformed')
  })
})
