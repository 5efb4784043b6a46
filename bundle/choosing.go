package bundle

// checkGraphless admits a bundle without graphs that has something to choose by,
// and nothing that a graph would have to compute.
func (b *Bundle) checkGraphless() error {
	m := b.Manifest
	if m.GetCatalogue().GetSendTimes() == nil && len(m.GetCatalogue().GetActions()) == 0 {
		return invalid("graphs", "at least one is needed, unless the catalogue has send times or actions")
	}
	if len(m.GetSteps()) > 0 || len(m.GetHeads()) > 0 || m.GetPreprocessing() != nil || m.GetGoldens() != nil {
		return invalid("graphs", "at least one is needed for steps, heads, preprocessing and goldens")
	}
	return nil
}
