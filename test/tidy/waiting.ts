/**
 * Tests wait for events or step virtual time, and all of them run. A sleep is either too short on a busy machine or too long everywhere else.
 */
import ts from 'typescript'
import { importsOf, isScript, isTest, type Offence, offenceAt, parse, type Source, usesOf, visit } from './source.ts'

const timers = new Set(['setTimeout', 'setInterval'])
const globals = new Set(['globalThis', 'window', 'self', 'global'])
const timerModules = /^(node:)?timers(\/promises)?$/
const suites = new Set(['test', 'it', 'describe', 'suite', 'bench', 'context', 'ctx'])
const partial = new Set(['only', 'skip', 'todo'])

export const waitingOffences = (sources: readonly Source[]): Offence[] =>
  sources
    .filter(({ path }) => isScript(path) && (isTest(path) || path.startsWith('test/')))
    .flatMap((source) => {
      const file = parse(source)
      const offences: Offence[] = []
      const add = (rule: string, node: ts.Node, text: string) => offences.push(offenceAt(rule, file, node, text))
      for (const node of usesOf(file, timers)) add('test-waits', node, node.text)
      for (const { specifier, node } of importsOf(file)) {
        if (timerModules.test(specifier)) add('test-waits', node, specifier)
      }
      visit(file, (node) => {
        if (ts.isPropertyAccessExpression(node)) {
          const [left, name] = [node.expression.getText(file), node.name.text]
          if (globals.has(left) && timers.has(name)) add('test-waits', node, `${left}.${name}`)
          if (name === 'waitForTimeout') add('test-waits', node.name, name)
          if (left === 'Atomics' && /^wait(Async)?$/.test(name)) add('test-waits', node, `${left}.${name}`)
          if (partial.has(name) && suites.has(rootOf(node.expression))) add('test-left-out', node, `${left}.${name}`)
        }
        if (ts.isCallExpression(node) && suites.has(rootOf(node.expression))) {
          for (const argument of node.arguments) {
            if (!ts.isObjectLiteralExpression(argument)) continue
            for (const property of argument.properties) {
              const name = property.name && ts.isIdentifier(property.name) ? property.name.text : ''
              if (partial.has(name)) add('test-left-out', property, `{ ${name} }`)
            }
          }
        }
      })
      return offences
    })

/** `it` of `it.each(rows).only`. */
const rootOf = (node: ts.Expression): string => {
  if (ts.isIdentifier(node)) return node.text
  if (ts.isPropertyAccessExpression(node) || ts.isCallExpression(node)) return rootOf(node.expression)
  return ''
}
