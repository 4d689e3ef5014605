export {
  type IceOptions,
  type JwtAlgorithm,
  type JwtLoginOptions,
  jwtLogin,
  type MailLoginOptions,
  type MailText,
  mailLogin,
  type ServeOptions,
  type Server,
  serve,
} from '@weft-db/server'
