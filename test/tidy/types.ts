/** The type checker is believed: nothing that silences it without a reason, and no error that vanishes. */
import ts from 'typescript'
import { commentsOf, isScript, isTest, lineOf, type Offence, offenceAt, parse, type Source, visit } from './source.ts'

export const typeOffences = (sources: readonly Source[]): Offence[] =>
  sources.filter(({ path }) => isScript(path)).flatMap(offencesOf)

const offencesOf = (source: Source): Offence[] => {
  const file = parse(source)
  const offences: Offence[] = []
  const add = (rule: string, node: ts.Node, text: string) => offences.push(offenceAt(rule, file, node, text))
  const comments = commentsOf(file)
  const commentOn = (first: number, last: number) =>
    comments.some(({ firstLine, lastLine }) => firstLine <= last && lastLine >= first)

  /** One comment serves the statement it stands above, and those that follow without a pause. */
  const explained = (node: ts.Node): boolean => {
    const line = lineOf(file, node.getStart(file))
    if (commentOn(line - 1, line)) return true
    let statement: ts.Node = node
    while (!ts.isStatement(statement) && !ts.isClassElement(statement) && statement.parent) statement = statement.parent
    if (commentOn(lineOf(file, statement.getStart(file)) - 1, line)) return true
    const { parent } = statement
    if (!ts.isStatement(statement) || !(ts.isBlock(parent) || ts.isSourceFile(parent))) return false
    const before = parent.statements[parent.statements.indexOf(statement) - 1]
    const last = before === undefined ? undefined : assertionsIn(before).at(-1)
    return last !== undefined && explained(last)
  }

  if (!source.path.startsWith('test/types/')) {
    for (const { text, firstLine } of comments) {
      const [, directive] = /@(ts-(?:ignore|expect-error|nocheck))/.exec(text) ?? []
      if (directive) offences.push({ rule: 'silenced-checker', path: source.path, line: firstLine, text: directive })
    }
  }
  if (!isTest(source.path) && !source.path.startsWith('test/')) {
    for (const node of assertionsIn(file)) {
      if (!explained(node)) add('unexplained-assertion', node, `${node.getText(file).slice(0, 40)} needs its reason`)
    }
  }
  visit(file, (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) add('any', node, 'any')
    if (isCast(node) && isUnknown(node.expression)) add('double-cast', node, 'as unknown as')
    const handler = catchBody(node)
    if (handler && handler.statements.length === 0 && !commentOn(...linesInside(file, handler))) {
      add('empty-catch', node, 'an error vanishes here')
    }
  })
  return offences
}

const assertionsIn = (root: ts.Node): ts.Node[] => {
  const found: ts.Node[] = []
  visit(root, (node) => {
    if (ts.isNonNullExpression(node)) found.push(node)
    if ((ts.isPropertyDeclaration(node) || ts.isVariableDeclaration(node)) && node.exclamationToken) found.push(node)
  })
  return found
}

const isCast = (node: ts.Node): node is ts.AsExpression | ts.TypeAssertion =>
  ts.isAsExpression(node) || ts.isTypeAssertionExpression(node)

const isUnknown = (node: ts.Expression): boolean => {
  if (ts.isParenthesizedExpression(node)) return isUnknown(node.expression)
  return isCast(node) && node.type.kind === ts.SyntaxKind.UnknownKeyword
}

/** The body of a catch clause, or of the function given to `.catch()`. */
const catchBody = (node: ts.Node): ts.Block | undefined => {
  if (ts.isCatchClause(node)) return node.block
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined
  const [handler] = node.arguments
  if (node.expression.name.text !== 'catch' || !handler) return undefined
  if (!ts.isArrowFunction(handler) && !ts.isFunctionExpression(handler)) return undefined
  return ts.isBlock(handler.body) ? handler.body : undefined
}

const linesInside = (file: ts.SourceFile, block: ts.Block): [number, number] => [
  lineOf(file, block.getStart(file)),
  lineOf(file, block.end),
]
