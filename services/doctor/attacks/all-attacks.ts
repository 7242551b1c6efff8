import type { Attack } from './attack.ts';
import { diskAttacks } from './disk.ts';
import { environmentAttacks } from './environment.ts';
import { fileNameAttacks } from './file-names.ts';
import { httpReplyAttacks } from './http-replies.ts';
import { imageAttacks } from './image.ts';
import { limitAttacks } from './limits.ts';
import { memoryAttacks } from './memory.ts';
import { neighbourAttacks } from './neighbours.ts';
import { networkAttacks } from './network.ts';
import { outputAttacks } from './output.ts';
import { privilegeAttacks } from './privileges.ts';
import { procAttacks } from './proc.ts';
import { processAttacks } from './processes.ts';
import { requestAttacks } from './requests.ts';
import { residueAttacks } from './residue.ts';
import { resultChannelAttacks } from './result-channel.ts';
import { secretAttacks } from './secrets.ts';
import { siblingAttacks } from './siblings.ts';
import { systemCallAttacks } from './system-calls.ts';
import { tenantAttacks } from './tenants.ts';
import { zygoteAttacks } from './zygote-initialisation.ts';

/** The table, in its order. */
export const allAttacks: readonly Attack[] = [
  ...processAttacks,
  ...memoryAttacks,
  ...diskAttacks,
  ...outputAttacks,
  ...resultChannelAttacks,
  ...fileNameAttacks,
  ...procAttacks,
  ...systemCallAttacks,
  ...privilegeAttacks,
  ...imageAttacks,
  ...residueAttacks,
  ...siblingAttacks,
  ...networkAttacks,
  ...zygoteAttacks,
  ...limitAttacks,
  ...requestAttacks,
  ...environmentAttacks,
  ...httpReplyAttacks,
  ...secretAttacks,
  ...tenantAttacks,
  ...neighbourAttacks,
];
