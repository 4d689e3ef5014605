/** The compiler's options: runes everywhere. */
export default { compilerOptions: { runes: true } }
