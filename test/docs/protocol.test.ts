/** docs/protocol.md numbers its rules, and titles of tests cite them: no rule without a test, no citation of a rule that is not there. */

import ts from 'typescript'
import { expect, test } from 'vitest'
import { isTest, parse, type Source, visit } from '../tidy/source.ts'
import { readTree } from '../tidy/tree.ts'

const suites = new Set(['test', 'it', 'describe'])

/** The name a call begins with: `test` of `test.each(rows)('...')`. */
const rootOf = (node: ts.Expression): string => {
  if (ts.isIdentifier(node)) return node.text
  return ts.isPropertyAccessExpression(node) || ts.isCallExpression(node) ? rootOf(node.expression) : ''
}

/** What a title says as it stands there, without what is put into it. */
const wordsOf = (node: ts.Expression | undefined): string => {
  if (node === undefined) return ''
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return ''
  return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('…')
}

const citationsIn = (source: Source): string[] => {
  const cited: string[] = []
  visit(parse(source), (node) => {
    if (!ts.isCallExpression(node) || !suites.has(rootOf(node.expression))) return
    for (const [, rule = ''] of wordsOf(node.arguments[0]).matchAll(/\[([A-Z]\d+)\]/g)) cited.push(rule)
  })
  return cited
}

const rulesIn = (text: string): string[] =>
  [...text.matchAll(/^- \*\*([A-Z]\d+)\.\*\* /gm)].map(([, rule = '']) => rule)

test('citations are read from titles alone', () => {
  const text = [
    "describe('[A1] [A2] one', () => {",
    `  test.each([1])(\`[A3] \${"[B1]"} [A4]\`, () => run("[B2]"))`,
    "  test.runIf(yes)('a list [B] of [1]', () => undefined) // [B3]",
    "  it('A5: [A6]', () => undefined)",
    '})',
  ].join('\n')
  expect(citationsIn({ path: 'x.test.ts', text })).toEqual(['A1', 'A2', 'A3', 'A4', 'A6'])
})

test('every rule of docs/protocol.md is cited by a test, once in the document, and every cited rule is there', () => {
  const tree = readTree()
  const rules = rulesIn(tree.find(({ path }) => path === 'docs/protocol.md')?.text ?? '')
  expect(rules.length).toBeGreaterThan(40)
  expect(rules.filter((rule, index) => rules.indexOf(rule) !== index)).toEqual([])
  const cited = new Map<string, string[]>()
  for (const source of tree.filter(({ path, text }) => isTest(path) && /\[[A-Z]\d+\]/.test(text))) {
    if (source.path === 'test/docs/protocol.test.ts') continue
    for (const rule of citationsIn(source)) cited.set(rule, [...(cited.get(rule) ?? []), source.path])
  }
  expect(rules.filter((rule) => !cited.has(rule))).toEqual([])
  expect([...cited].filter(([rule]) => !rules.includes(rule))).toEqual([])
})
