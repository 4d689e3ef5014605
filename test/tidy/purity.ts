/**
 * The engine is a function of its input: no clock, randomness, timer or locale, nothing that depends on the garbage collector, and
 * no promise outside `replica`. The compiler already lacks most of these names; this also catches what every JavaScript has.
 */
import ts from 'typescript'
import { isTest, type Offence, offenceAt, parse, type Source, usesOf, visit } from './source.ts'

const engine = 'packages/engine/src/'

const impure = new Set([
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'process',
  'fetch',
  'crypto',
  'Intl',
  'WeakRef',
  'FinalizationRegistry',
  'globalThis',
])
/** The one place that lets things go, and sees to it that nobody can tell. */
const forgetful = `${engine}replica/weakvalues.ts`
const asynchronous = new Set(['Promise', 'PromiseLike'])
const impureMembers = new Set(['Date.now', 'Math.random'])
const sorts = new Set(['sort', 'toSorted'])

export const purityOffences = (sources: readonly Source[]): Offence[] =>
  sources
    .filter(({ path }) => path.startsWith(engine) && /\.ts$/.test(path) && !isTest(path) && !path.endsWith('.d.ts'))
    .flatMap((source) => {
      const file = parse(source)
      const offences: Offence[] = []
      const add = (rule: string, node: ts.Node, text: string) => offences.push(offenceAt(rule, file, node, text))
      for (const node of usesOf(file, impure))
        if (source.path !== forgetful || node.text !== 'WeakRef') add('impure-engine', node, node.text)
      const mayWait = source.path.startsWith(`${engine}replica/`)
      if (!mayWait) for (const node of usesOf(file, asynchronous)) add('promise-outside-replica', node, node.text)
      visit(file, (node) => {
        if (ts.isPropertyAccessExpression(node)) {
          const member = `${node.expression.getText(file)}.${node.name.text}`
          if (impureMembers.has(member)) add('impure-engine', node, member)
          if (/^(localeCompare|toLocale\w+)$/.test(node.name.text)) add('impure-engine', node.name, node.name.text)
        }
        if (isNow(node)) add('impure-engine', node, 'Date without an argument is the clock')
        if (
          ts.isCallExpression(node) &&
          ts.isPropertyAccessExpression(node.expression) &&
          sorts.has(node.expression.name.text) &&
          node.arguments.length === 0
        ) {
          add('sort-without-comparator', node.expression.name, `${node.expression.name.text}() compares as strings`)
        }
        if (mayWait) return
        if (node.kind === ts.SyntaxKind.AsyncKeyword) add('promise-outside-replica', node, 'async')
        if (node.kind === ts.SyntaxKind.AwaitKeyword || ts.isAwaitExpression(node)) {
          add('promise-outside-replica', node, 'await')
        }
      })
      return offences
    })

const isNow = (node: ts.Node): boolean =>
  (ts.isNewExpression(node) || ts.isCallExpression(node)) &&
  ts.isIdentifier(node.expression) &&
  node.expression.text === 'Date' &&
  (ts.isCallExpression(node) || (node.arguments?.length ?? 0) === 0)
