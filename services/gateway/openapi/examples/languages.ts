import type { Examples } from './example.ts';

const bash = {
  name: 'bash',
  version: '5.2.15',
  aliases: ['sh'],
  extensions: ['.sh', '.bash'],
  fileName: 'main.sh',
  compiled: false,
  installed: true,
  builtIn: true,
  image: {
    reference: 'localhost/bash:latest',
    digest: 'sha256:67dc7fc7f2cc46725a5460a7ee93c5f1395272712294f5acdff5a56743569995',
  },
};

export const languageExamples: Examples = {
  listLanguages: [{ name: 'all', summary: 'Installed or not', status: 200, reply: { languages: [bash] } }],
  installLanguage: [
    {
      name: 'there',
      summary: 'One that is there already',
      parameters: { name: 'sh' },
      status: 200,
      reply: bash,
    },
  ],
  removeLanguage: [
    {
      name: 'absent',
      summary: 'One that is not installed',
      parameters: { name: 'cobol' },
      status: 409,
      reply: {
        error: {
          code: 'language_not_installed',
          message: 'cannot remove cobol: it is not installed',
          field: 'name',
        },
      },
    },
  ],
};
