/** Rows B10 and B11: paths that are made to be slow to match, and rules that do what no rule should. */
import { type Rule, read, write } from '@weft-db/engine'
import { encode } from '../../../packages/engine/src/bytes/cbor.ts'
import { decodeFrame } from '../../../packages/engine/src/replica/wire.ts'
import { isRepositoryPath, matchPath } from '../../../packages/engine/src/trust/rules.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'
import { Card, Target } from '../target.ts'

const longest = 65_536
const subscribeFrame = 6

const shapes: readonly ((draws: Stream, length: number) => string)[] = [
  (_, length) => `/${'a'.repeat(length)}`,
  (_, length) => `/board/${'x'.repeat(length % 128)}`,
  (_, length) => '/'.repeat(length),
  (_, length) => '/a'.repeat(length / 2),
  (_, length) => `/${'.'.repeat(length)}/x`,
  (_, length) => `/board/${'../'.repeat(length / 3)}`,
  (_, length) => `/board/${'a.'.repeat(length / 2)}!`,
  (_, length) => `/board/${'-'.repeat(length)}\n`,
  (_, length) => `${'/board'.repeat(length / 6)}`,
  (draws, length) => `/board/${String.fromCharCode(...Array.from({ length: length / 16 }, () => draws.int(65_536)))}`,
  (_, length) => `/sys/${'%2e'.repeat(length / 3)}`,
  (_, length) => `/${':id'.repeat(length / 3)}/${':id'.repeat(9)}`,
]

const templates = ['/board/:id', '/:type/:repository', '/a/:b', '/x.y/:z', '/constructor/:prototype']

const badTemplates: readonly unknown[] = [
  /^\/board\/.*$/,
  '/board/.*',
  '/board/(a+)+',
  '/board/**',
  '/board/:id/',
  'board/:id',
  '/board/[a-z]',
  '/board/:id?',
  '/:id/:id',
  '/board/a|b',
  '',
  null,
  ['/board/x'],
]

/** B10: `trials` paths of up to 64 KiB against the templates, the slowest told; and templates that are none. */
export const paths: Row = async ({ trials, seed }) => {
  const draws = stream(seed, 'paths')
  let [violations, worst] = [0, 0]
  let matched = 0
  // The road of a path: out of a frame, or from an app, and only what can be a path of ours meets the templates.
  const time = (path: string, bytes: Uint8Array): number => {
    const began = performance.now()
    const frame = decodeFrame(bytes, 0)
    const asked = 'kind' in frame && frame.kind === 'subscribe' && isRepositoryPath(frame.path)
    if (isRepositoryPath(path) || asked) {
      for (const template of templates) matchPath(template, path)
      matched++
    }
    return performance.now() - began
  }
  for (let trial = 0; trial < trials; trial++) {
    const length = draws.chance(0.3) ? longest : 1 + draws.int(draws.chance(0.5) ? 300 : longest)
    const path = draws.pick(shapes)(draws, length).slice(0, longest)
    const bytes = encode([0, subscribeFrame, 0, path.replaceAll(/[\ud800-\udfff]/g, 'x'), 0])
    if (isRepositoryPath(path) && path.length > 200) violations++
    let took = time(path, bytes)
    // What else the machine does shows in one time, not in all of them.
    for (let again = 0; again < 5 && took > 1; again++) took = Math.min(took, time(path, bytes))
    worst = Math.max(worst, took)
    if (took > 1) violations++
  }
  for (const template of badTemplates) {
    try {
      // An app without types may hand over anything.
      write(template as string, () => true)
      violations++
    } catch {
      // Refused where the app is started.
    }
  }
  mustHold(matched > 0, 'no path is one', violations)
  mustHold(
    isRepositoryPath('/board/x') && matchPath('/board/:id', '/board/x')?.['id'] === 'x',
    'nothing fits',
    violations,
  )
  return { trials: trials + badTemplates.length, violations, worstMilliseconds: Math.round(worst * 1_000) / 1_000 }
}

type Judge = Extract<Rule, { kind: 'write' }>['judge']

/** What a rule answers that allows nothing, and whether that is to be reported. */
const answers: Readonly<Record<string, { readonly judge: (draws: Stream) => unknown; readonly reported: boolean }>> = {
  throws: {
    judge: () => {
      throw new Error('a bug of the app')
    },
    reported: true,
  },
  'throws deep down': {
    judge: () => Reflect.get(Object(undefined), 'title').length,
    reported: true,
  },
  'promises to allow': { judge: async () => true, reported: true },
  'promises and fails': {
    judge: async () => {
      throw new Error('later')
    },
    reported: true,
  },
  'says nothing': { judge: () => undefined, reported: false },
  'says one': { judge: () => 1, reported: false },
  'says an object': { judge: () => ({ allowed: true }), reported: false },
  'says true as an object': { judge: () => Object(true), reported: false },
  'gives a reason': { judge: () => 'because', reported: false },
  'says null': { judge: () => null, reported: false },
  denies: { judge: () => false, reported: false },
  recurses: {
    judge: () => {
      const again = (): boolean => again()
      return again()
    },
    reported: true,
  },
}

/** B11: `trials` rules that throw, wait, answer with what is not an answer, or with another one each time. */
export const faulty: Row = async ({ trials, seed }) => {
  const draws = stream(seed, 'rules')
  let violations = 0
  const through = new Set<string>()
  for (let trial = 0; trial < trials; trial++) {
    const [what, { judge, reported }] = draws.pick(Object.entries(answers))
    const rules = [
      read('/board/:id', () => true),
      // What the compiler refuses an app may still do.
      write('/board/:id', (() => judge(draws)) as Judge),
    ]
    const target = await Target.open(`${seed} ${trial}`, { signatures: 'fast', rules })
    const person = await target.person()
    const commit = await target.commit(person)
    const codes = await target.offer([commit], [person.certificate])
    const key = commit.changes[0]?.key ?? ''
    if (target.repository().item(Card, key) !== null || codes.includes('RuleThrew') !== reported) {
      violations++
      through.add(what)
    }
    mustHold(target.has(commit), 'the commit is not even stored', violations)
    await target.close()
  }
  // A rule that answers by the number of the question: development tells.
  let asked = 0
  const rules = [read('/board/:id', () => true), write('/board/:id', () => asked++ % 2 === 0)]
  const target = await Target.open(`${seed} twice`, { signatures: 'fast', rules, development: true })
  const person = await target.person()
  const codes = await target.offer([await target.commit(person)], [person.certificate])
  if (!codes.includes('RuleNotPure')) violations++
  await target.close()
  // What a rule does to what it is given changes nothing.
  let touched = 0
  const greedy = [
    read('/board/:id', () => true),
    write('/board/:id', (change) => {
      for (const given of [change, change.params, change.item, change.fields, change.after]) {
        for (const [name, value] of [
          ['title', 'taken'],
          ['role', 'owner'],
          ['length', 0],
        ] as const) {
          try {
            if (given !== null && Reflect.set(given, name, value)) touched++
          } catch {
            // Frozen.
          }
        }
      }
      return true
    }),
  ]
  const other = await Target.open(`${seed} greedy`, { signatures: 'fast', rules: greedy })
  const author = await other.person()
  const commit = await other.commit(author)
  await other.offer([commit], [author.certificate])
  const title = other.repository().item(Card, commit.changes[0]?.key ?? '')?.title
  if (title !== 'written') violations++
  await other.close()
  return { trials: trials + 2, violations, touched, through: [...through].join('; ') }
}
