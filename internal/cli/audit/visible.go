package audit

import "quilt-rotate/internal/legible"

// What the registry shows was typed by its users.
var visible, hidden = legible.Text, legible.Hidden
