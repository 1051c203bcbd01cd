package twin

import (
	"maps"
	"slices"

	"linetwin/plant"
)

// products gives all products, in the settings' order, then those that were
// said, by id. What was said of a name holds.
func (t *Twin) products() []ProductConfig {
	said := t.said.Load().products
	all := slices.Clone(t.cfg.Products)
	there := map[string]bool{}
	for i := range all {
		there[all[i].ID] = true
		if name, ok := said[all[i].ID]; ok {
			all[i].Name = name
		}
	}
	for _, id := range slices.Sorted(maps.Keys(said)) {
		if !there[id] {
			all = append(all, ProductConfig{ID: id, Name: said[id]})
		}
	}
	return all
}

func (t *Twin) productIDs() []string {
	var ids []string
	for _, p := range t.products() {
		ids = append(ids, p.ID)
	}
	return ids
}

func (t *Twin) knowsProduct(id string) bool { return slices.Contains(t.productIDs(), id) }

// productByID gives a product by what is known of it; nil for none.
func (t *Twin) productByID(id string) *plant.Product {
	if id == "" {
		return nil
	}
	for _, p := range t.products() {
		if p.ID == id {
			return &plant.Product{ID: p.ID, Name: p.Name}
		}
	}
	return &plant.Product{ID: id, Name: plant.Name{}.Or(id)}
}
